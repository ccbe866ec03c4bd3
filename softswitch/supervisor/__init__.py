"""Supervisor: the parent of the workers of one host. It owns their sockets, and has no media and no web."""
