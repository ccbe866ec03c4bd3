"""The Wyoming protocol of local servers (faster-whisper, vosk, piper): events over TCP."""
