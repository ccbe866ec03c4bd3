"""How SIP addresses are found: DNS (RFC 3263), the local address per peer, and the servers of trunks."""
