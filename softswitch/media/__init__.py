"""The media plane: one engine that wakes every 20 ms and moves the audio of all legs at once.

Messages go in, reports and frames come out (:mod:`softswitch.media.messages`). Nothing else crosses the
boundary, so that the engine, a thread today, could run in worker processes.
"""
