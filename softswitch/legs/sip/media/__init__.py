"""Media of a SIP leg: negotiation, and its transports (plain RTP, DTLS, ICE)."""
