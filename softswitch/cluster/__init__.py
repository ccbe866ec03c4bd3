"""Several processes as one switch: which node owns what, requests between nodes, and lost nodes."""
