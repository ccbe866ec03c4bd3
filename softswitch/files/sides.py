"""Recordings of calls: the two sides of a stereo file, a second at a time. Blocking; for a thread."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler

from softswitch.files.decode import MAX_SECONDS, AudioSourceError


def sides(path: Path, rate: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield PCM16 of the left and of the right side, a second each, less at the end.

    Args:
        path: A file that the switch itself has written.
        rate: Wanted sample rate, Hz.

    Raises:
        AudioSourceError: The file cannot be decoded, or is longer than `MAX_SECONDS`.
    """
    try:
        with av.open(str(path)) as container:
            yield from _seconds(container, rate)
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise AudioSourceError(f"the recording cannot be decoded: {error}") from error


def _seconds(container: "av.container.InputContainer", rate: int) -> Iterator[tuple[bytes, bytes]]:
    resampler = AudioResampler(format="s16", layout="stereo", rate=rate)
    waiting = np.zeros((0, 2), np.int16)
    left = int(MAX_SECONDS * rate)
    if not container.streams.audio:
        raise AudioSourceError("the recording has no audio")
    for frame in container.decode(audio=0):
        for piece in resampler.resample(frame):
            waiting = np.concatenate([waiting, piece.to_ndarray().reshape(-1, 2)])
        while len(waiting) >= rate:
            left -= rate
            if left < 0:
                raise AudioSourceError(f"the recording is longer than {MAX_SECONDS:g} s")
            yield _split(waiting[:rate])
            waiting = waiting[rate:]
    for piece in resampler.resample(None):
        waiting = np.concatenate([waiting, piece.to_ndarray().reshape(-1, 2)])
    if len(waiting):
        yield _split(waiting)


def _split(pcm: "np.ndarray[tuple[int, ...], np.dtype[np.int16]]") -> tuple[bytes, bytes]:
    return pcm[:, 0].tobytes(), pcm[:, 1].tobytes()
