"""The protocol of sherpa-onnx's online WebSocket server. It does not speak."""
