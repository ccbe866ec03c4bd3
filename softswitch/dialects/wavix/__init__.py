"""The dialect of Wavix: call control over REST, and the WebSocket of a call's stream (documents of Wavix)."""
