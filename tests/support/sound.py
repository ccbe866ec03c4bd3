"""Make sounds and measure them."""

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
RATE = 16000


def tone(hz: float, seconds: float, rate: int = RATE, level: float = 0.3) -> Pcm:
    """Return a sine as PCM16.

    Args:
        hz: its pitch.
        seconds: its length.
        rate: sample rate in Hz.
        level: of full scale.
    """
    time = np.arange(round(seconds * rate)) / rate
    return np.asarray(np.sin(2 * np.pi * hz * time) * level * 32767, np.int16)


def silence(seconds: float, rate: int = RATE) -> Pcm:
    """Return PCM16 zeros."""
    return np.zeros(round(seconds * rate), np.int16)


def join(*parts: Pcm) -> Pcm:
    """Put sounds one behind the other."""
    return np.concatenate(parts)


def pcm(data: bytes) -> Pcm:
    """Read PCM16 little-endian."""
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)


def level(sound: Pcm) -> float:
    """Return the root mean square, in PCM16 units."""
    return float(np.sqrt(np.mean(sound.astype(np.float64) ** 2))) if sound.size else 0.0


def pitch(sound: Pcm, rate: int = RATE) -> float:
    """Return the frequency in Hz where most of the power is."""
    if sound.size < 64:
        return 0.0
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    spectrum[0] = 0
    return float(np.argmax(spectrum) * rate / sound.size)


def share(sound: Pcm, hz: float, rate: int = RATE, width: float = 40.0) -> float:
    """Return the part of the power that lies within `width` Hz of `hz`; of nothing, no part."""
    if sound.size < 64:
        return 0.0
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size))) ** 2
    places = np.arange(spectrum.size) * rate / sound.size
    total = float(spectrum.sum())
    return float(spectrum[np.abs(places - hz) <= width].sum()) / total if total else 0.0


def loud_ms(sound: Pcm, rate: int = RATE, threshold: float = 200.0) -> int:
    """Return how many milliseconds (in pieces of 20) are louder than `threshold`."""
    frame = rate // 50
    pieces = [sound[start : start + frame] for start in range(0, sound.size - frame + 1, frame)]
    return 20 * sum(level(piece) > threshold for piece in pieces)


def container(sound: Pcm, kind: str, codec: str, rate: int = RATE) -> bytes:
    """Return a file of some kind with a sound in it, written by PyAV.

    Args:
        sound: mono.
        kind: format name as of ffmpeg: wav, mp3, ogg, flac, mp4, au, ipod.
        codec: codec name as of ffmpeg.
        rate: sample rate of the sound in Hz; the file's where its codec can.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as out:
        stream = cast("AudioStream", out.add_stream(codec, rate=48000 if "opus" in codec else rate))
        stream.layout = "mono"
        resampler = av.AudioResampler(stream.format.name, "mono", stream.rate)
        frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1), "s16", "mono")
        frame.rate = rate
        frame.time_base = Fraction(1, rate)
        fifo = av.AudioFifo()
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            piece.pts = None
            fifo.write(piece)
        size = stream.frame_size or 1024
        while (piece_or_none := fifo.read(size)) or (piece_or_none := fifo.read(0, partial=True)):
            out.mux(stream.encode(piece_or_none))
        out.mux(stream.encode(None))
    return file.getvalue()


def wav(sound: Pcm, rate: int = RATE) -> bytes:
    """Return a WAV file."""
    return container(sound, "wav", "pcm_s16le", rate)


def frames(sound: Pcm, rate: int = RATE) -> Sequence[bytes]:
    """Cut a sound into messages of 20 ms of PCM16."""
    size = rate // 50
    return [sound[start : start + size].tobytes() for start in range(0, sound.size, size)]
