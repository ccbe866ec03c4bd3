"""The protocol of the vosk server: PCM over WebSocket. It does not speak."""
