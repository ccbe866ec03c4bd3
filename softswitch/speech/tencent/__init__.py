"""The protocols of Tencent Cloud: real-time recognition and streaming synthesis, each over WebSocket."""
