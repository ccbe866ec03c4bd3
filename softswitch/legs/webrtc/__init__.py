"""WebRTC legs: ICE, DTLS and the leg of a browser."""
