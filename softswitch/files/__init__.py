"""Audio files: fetching, recognition by content, decoding."""
