"""HTTP and WebSocket handlers of the `/call` API."""
