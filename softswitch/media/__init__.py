"""The media plane: one engine that wakes every 20 ms and moves the audio of all legs at once.

Messages go in, reports and frames come out (:mod:`softswitch.media.messages`); nothing else crosses the seam,
so that the engine can be a thread today and a worker process per core tomorrow.
"""
