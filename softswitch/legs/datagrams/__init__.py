"""Datagram sockets of the event loop: a reader that survives ICMP errors, and the errors told apart."""
