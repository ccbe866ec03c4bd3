"""Signal processing on arrays: codecs, resampling, mixing, levels, tones and loss concealment.

Nothing here does I/O, reads a clock or knows calls. Audio is float32 in PCM16 units (full scale ±32768.0),
shaped ``(rows, samples)``; the state of a leg between two frames lies in arrays with one row per slot, so
that one call of a function serves all legs. The bus, the common format of all legs in the engine, is 24 kHz
mono in frames of 20 ms (:mod:`softswitch.audio.pcm`).
"""
