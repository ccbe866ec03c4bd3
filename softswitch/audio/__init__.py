"""The science of sound as arrays: codecs, resampling, mixing, levels, tones and the repair of holes.

Nothing here does I/O, reads a clock or knows what a call is. Audio is float32 in PCM16 units (full scale
±32768.0), shaped ``(rows, samples)``; what a leg must remember between two frames lies in arrays with one row
per slot, so that one call serves every leg that is up. The bus, in which all legs meet, is 24 kHz mono in
frames of 20 ms (:mod:`softswitch.audio.pcm`).
"""
