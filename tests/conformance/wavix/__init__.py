"""Proofs of the page for Wavix's call control and streams."""
