"""A running call: the executor of its effects, and its legs, tracks, streams, recordings and recognition."""
