"""The media engine: one tick every 20 ms for the audio of all calls."""
