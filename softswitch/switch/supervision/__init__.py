"""Supervision of live calls: the table, which party hears the supervisor, and what the supervisor is told."""
