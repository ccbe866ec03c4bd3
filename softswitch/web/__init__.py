"""HTTP routes and WebSockets: a few lines each, over the switch."""
