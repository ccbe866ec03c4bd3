"""Feeds: audio that arrives in pieces over WebSockets and streams."""
