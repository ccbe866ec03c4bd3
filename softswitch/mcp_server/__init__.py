"""The telephone as tools of the Model Context Protocol: an agent places calls, speaks, listens, hangs up.

It is a client of a running switch, and has no rights of its own: every tool uses the key of its client.
"""
