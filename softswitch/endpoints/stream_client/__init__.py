"""The client side of a call's stream: one WebSocket to an outside service that hears, and may speak."""
