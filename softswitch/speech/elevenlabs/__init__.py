"""The protocols of ElevenLabs: Scribe realtime, and multi-context synthesis over WebSocket."""
