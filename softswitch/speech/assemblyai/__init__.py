"""The protocol of AssemblyAI: Universal-Streaming over WebSocket. It does not speak."""
