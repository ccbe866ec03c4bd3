"""HTTP handlers of the Wavix-compatible API."""
