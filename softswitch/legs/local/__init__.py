"""Legs that end inside the switch: echo, tone, and pairs that connect two calls."""
