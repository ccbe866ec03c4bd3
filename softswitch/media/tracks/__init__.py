"""Tracks: playbacks and live one-way sources of a mix."""
