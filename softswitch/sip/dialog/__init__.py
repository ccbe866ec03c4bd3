"""SIP dialogs (RFC 3261 section 12) and requests inside them."""
