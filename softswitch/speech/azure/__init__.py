"""The protocols of Azure AI Speech: recognition over WebSocket, synthesis by HTTP."""
