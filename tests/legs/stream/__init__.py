"""Tests of the client side of streams."""
