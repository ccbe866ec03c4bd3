"""Transcripts of calls, made of their recordings after their end."""
