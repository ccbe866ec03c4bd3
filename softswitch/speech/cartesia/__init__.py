"""The protocols of Cartesia: Ink recognises, Sonic speaks, both over WebSocket."""

VERSION = "2026-03-01"
"""Of the API, a header of each request."""
