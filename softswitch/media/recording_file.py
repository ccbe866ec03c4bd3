"""Files of recordings: stereo PCM in, readable on disk after every flush whatever happens next."""

import os
from pathlib import Path
from typing import Protocol

import av
import numpy as np

from softswitch.audio import wav

BLOCK = 4
"""Bytes of one stereo sample."""

_LARGEST_WAV = 0xFFFFFFFF - wav.HEADER_OCTETS
"""Sizes in a WAV file have 32 bits."""

_OPUS_BIT_RATE = 48000


class RecordingFile(Protocol):
    """What a recording is written to."""

    @property
    def size(self) -> int:
        """Return the bytes in the file."""

    def write(self, pcm: bytes) -> None:
        """Append whole stereo samples, PCM16 little endian, left and right in turn.

        Raises:
            OSError: the disk is full or gone; what was written before stays readable.
        """

    def flush(self) -> None:
        """Make the file readable as far as it is written."""

    def close(self) -> None:
        """Finish the file."""


def open_file(path: str, container: str, sample_rate: int) -> RecordingFile:
    """Create the file of a recording.

    Raises:
        OSError: it cannot be created, or is a symbolic link.
    """
    return OpusFile(path, sample_rate) if container == "opus" else WavFile(path, sample_rate)


def _create(path: str) -> int:
    # A link in the folder of recordings would let whoever placed it choose which file we overwrite.
    return os.open(Path(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)


class WavFile:
    """PCM16 stereo in a WAV file whose header is brought up to date at each flush."""

    def __init__(self, path: str, sample_rate: int) -> None:
        """Create the file; `sample_rate` in Hz.

        Raises:
            OSError: as :func:`open_file`.
        """
        self._fd = _create(path)
        self._octets = 0
        try:
            self._append(wav.header(sample_rate, channels=2))
        except OSError:
            os.close(self._fd)
            raise

    @property
    def size(self) -> int:
        """Return the bytes in the file."""
        return wav.HEADER_OCTETS + self._octets

    def write(self, pcm: bytes) -> None:
        """Append audio.

        Raises:
            OSError: the disk is full or gone, or the file is at the limit of its format.
        """
        if self._octets + len(pcm) > _LARGEST_WAV:
            raise OSError("a WAV file ends at 4 GiB")
        self._octets += self._append(pcm)

    def flush(self) -> None:
        """Write the sizes into the header."""
        for offset, octets in wav.patches(self._octets):
            os.pwrite(self._fd, octets, offset)

    def close(self) -> None:
        """Write the sizes and close."""
        try:
            self.flush()
        finally:
            os.close(self._fd)

    def _append(self, data: bytes) -> int:
        """Write all of `data`; the kernel may take it in parts where the disk becomes full."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        return len(data)


class OpusFile:
    """Opus stereo in Ogg, a page a second."""

    def __init__(self, path: str, sample_rate: int) -> None:
        """Create the file; `sample_rate` 8000, 16000, 24000 or 48000 Hz.

        Raises:
            OSError: as :func:`open_file`.
        """
        self._file = os.fdopen(_create(path), "wb", buffering=0)
        self._container = av.open(
            self._file, "w", format="ogg", options={"flush_packets": "1", "page_duration": "1000000"}
        )
        stream = self._container.add_stream("libopus", rate=sample_rate, layout="stereo")
        stream.bit_rate = _OPUS_BIT_RATE
        self._stream, self._rate = stream, sample_rate
        self._pending = b""
        self._position = 0

    @property
    def size(self) -> int:
        """Return the bytes in the file."""
        return self._file.tell()

    def write(self, pcm: bytes) -> None:
        """Append audio.

        Raises:
            OSError: the disk is full or gone.
        """
        self._pending += pcm
        frame_bytes = self._rate // 50 * BLOCK
        whole = len(self._pending) // frame_bytes * frame_bytes
        for start in range(0, whole, frame_bytes):
            self._encode(self._pending[start : start + frame_bytes])
        self._pending = self._pending[whole:]

    def flush(self) -> None:
        """Do nothing: each page reaches the file when it is full."""

    def close(self) -> None:
        """Write what is left and close."""
        try:
            if self._pending:
                self._encode(self._pending)
            self._container.mux(self._stream.encode(None))
            self._container.close()
        finally:
            self._file.close()

    def _encode(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, "<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = self._rate
        frame.pts = self._position
        self._position += frame.samples
        self._container.mux(self._stream.encode(frame))
