"""Rooms that are open: their seats in the mix, their inner call, their recordings."""
