"""Incoming calls: the rules of the settings, and the announcement to applications."""
