"""Small files of every kind that is played, a sine of 440 Hz, and files that are odd."""

import fractions
import io
import struct

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
    "flac-ogg": ("ogg", "flac", 16000),
    "flac": ("flac", "flac", 44100),
    "m4a": ("ipod", "aac", 16000),
    "au": ("au", "pcm_mulaw", 8000),
    "ulaw": ("mulaw", "pcm_mulaw", 8000),
    "alaw": ("alaw", "pcm_alaw", 8000),
    "aiff": ("aiff", "pcm_s16be", 22050),
    "aac": ("adts", "aac", 16000),
    "amr": ("amr", "libopencore_amrnb", 8000),
    "webm": ("webm", "libopus", 48000),
    "g722": ("g722", "g722", 16000),
}
"""Container, codec and rate by name."""


def sine(seconds: float, rate: int) -> NDArray[np.int16]:
    wave: NDArray[np.float64] = 8000 * np.sin(2 * np.pi * 440 / rate * np.arange(int(seconds * rate)))
    return wave.astype(np.int16)


def make(kind: str, seconds: float = 2.5, rate: int = 0, layout: str = "mono") -> bytes:
    """Return a file; ``rate``: in Hz, where not that of its kind."""
    container_name, codec, usual = KINDS[kind]
    rate = rate or usual
    channels = {"mono": 1, "stereo": 2}[layout]
    out = io.BytesIO()
    with av.open(out, "w", format=container_name) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, AudioStream)
        pcm = sine(seconds, rate)
        for begin in range(0, len(pcm), 1024):
            piece = np.repeat(pcm[begin : begin + 1024], channels)
            frame = av.AudioFrame.from_ndarray(piece[None], "s16", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, begin, fractions.Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def odd_wav(*, bits: int = 16, rate: int = 8000, channels: int = 1, audio: bytes = bytes(90)) -> bytes:
    """Return a WAV whose header says what no encoder would write."""
    width = -(-bits // 8) * channels
    head = struct.pack("<HHIIHH", 1, channels, rate, min(rate * width, 2**32 - 1), width, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", len(audio)) + audio
    return b"RIFF" + struct.pack("<I", len(body)) + body


def id3(size: int = 10, *, footer: bool = False) -> bytes:
    """Return an ID3 tag of so many octets of padding, at most 16383."""
    head = bytes((0x10 if footer else 0, 0, 0, size >> 7, size & 127))
    return b"ID3\4\0" + head + bytes(size) + (b"3DI\4\0" + head if footer else b"")
