"""SIP transactions (RFC 3261 section 17) and their timers."""
