"""The protocols of Alibaba Cloud Model Studio (DashScope): tasks over WebSocket."""
