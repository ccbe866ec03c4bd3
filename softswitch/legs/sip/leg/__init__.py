"""One SIP leg: incoming, outgoing, renegotiated, transferred."""
