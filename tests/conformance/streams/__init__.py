"""The stream dialects on a running switch."""
