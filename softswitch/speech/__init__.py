"""Speech: what listens, speaks and tells speech from noise; providers are found by name."""
