"""HTTP and WebSocket handlers of the rooms API."""
