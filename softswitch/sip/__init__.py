"""SIP without I/O: messages, transactions, dialogs, sessions, registrations (RFC 3261 and its extensions)."""
