"""RTP ports of the engine: sockets, reception, relaying and sending."""
