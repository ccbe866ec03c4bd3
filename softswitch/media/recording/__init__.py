"""Recording of calls to files."""
