"""Files of recordings: stereo PCM in; after every flush the file is readable, even if the switch crashes."""

import os
from pathlib import Path
from typing import Protocol

from softswitch.audio import wav
from softswitch.media.recording.opus_encoder import OpusEncoder
from softswitch.media.recording.opus_file import BLOCK

_LARGEST_WAV = 0xFFFFFFFF - wav.HEADER_OCTETS
"""Largest size of the audio in a WAV file, bytes: its size fields have 32 bits."""


class RecordingFile(Protocol):
    """Interface of the file of a recording."""

    @property
    def size(self) -> int:
        """Bytes in the file."""

    @property
    def samples(self) -> int:
        """Samples of each side in the file."""

    @property
    def is_ready(self) -> bool:
        """True while more may be written now."""

    def write(self, pcm: bytes) -> None:
        """Append whole stereo samples, PCM16 little endian, left and right in turn.

        Raises:
            OSError: the disk is full or gone; audio written before stays readable.
        """

    def flush(self) -> None:
        """Make the file readable up to the last write."""

    def finish(self) -> bool:
        """Complete the file; return False if that takes longer, and the caller has to call again.

        Raises:
            OSError: the file could not be completed.
        """


def open_file(path: str, container: str, sample_rate: int, encoder: OpusEncoder) -> RecordingFile:
    """Create the file of a recording.

    Raises:
        OSError: the file cannot be created, or its path is a symbolic link.
    """
    if container != "opus":
        return WavFile(path, sample_rate)
    # Created here, so that a wrong path is reported at once; the encoding process opens the existing file.
    os.close(_create(path))
    return encoder.open(path, sample_rate)


def _create(path: str) -> int:
    # O_NOFOLLOW: a symbolic link in the folder of recordings could make the switch overwrite another file.
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
        """Bytes in the file."""
        return wav.HEADER_OCTETS + self._octets

    @property
    def samples(self) -> int:
        """Samples of each side in the file."""
        return self._octets // BLOCK

    @property
    def is_ready(self) -> bool:
        """Always True: :meth:`write` waits for the disk."""
        return True

    def write(self, pcm: bytes) -> None:
        """Append audio.

        Raises:
            OSError: the disk is full or gone, or the file has reached the limit of its format.
        """
        if self._octets + len(pcm) > _LARGEST_WAV:
            raise OSError("a WAV file cannot be larger than 4 GiB")
        self._octets += self._append(pcm)

    def flush(self) -> None:
        """Write the sizes into the header."""
        for offset, octets in wav.patches(self._octets):
            os.pwrite(self._fd, octets, offset)

    def finish(self) -> bool:
        """Write the sizes and close.

        Raises:
            OSError: the sizes could not be written.
        """
        try:
            self.flush()
        finally:
            os.close(self._fd)
        return True

    def _append(self, data: bytes) -> int:
        """Write all of `data`; the kernel may accept it in parts when the disk becomes full."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        return len(data)
