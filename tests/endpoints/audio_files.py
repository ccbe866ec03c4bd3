"""Small files of every kind that is played: a sine of 440 Hz."""

import fractions
import io

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

KINDS = {
    "wav": ("wav", "pcm_s16le", 16000),
    "wav-mulaw": ("wav", "pcm_mulaw", 8000),
    "wav-8bit": ("wav", "pcm_u8", 8000),
    "mp3": ("mp3", "libmp3lame", 16000),
    "opus": ("ogg", "libopus", 48000),
    "flac": ("flac", "flac", 44100),
    "m4a": ("ipod", "aac", 16000),
    "au": ("au", "pcm_mulaw", 8000),
    "ulaw": ("mulaw", "pcm_mulaw", 8000),
    "alaw": ("alaw", "pcm_alaw", 8000),
}
"""Container, codec and rate by name."""


def sine(seconds: float, rate: int) -> NDArray[np.int16]:
    wave: NDArray[np.float64] = 8000 * np.sin(2 * np.pi * 440 / rate * np.arange(int(seconds * rate)))
    return wave.astype(np.int16)


def make(kind: str, seconds: float = 2.5) -> bytes:
    """Return a file."""
    container_name, codec, rate = KINDS[kind]
    out = io.BytesIO()
    with av.open(out, "w", format=container_name) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, AudioStream)
        pcm = sine(seconds, rate)
        for begin in range(0, len(pcm), 1024):
            frame = av.AudioFrame.from_ndarray(pcm[begin : begin + 1024][None], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, begin, fractions.Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()
