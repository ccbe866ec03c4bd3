"""Tests of the dialect of Wavix."""
