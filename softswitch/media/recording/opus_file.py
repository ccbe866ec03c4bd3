"""Recordings as Opus in Ogg: PCM in, one page a second; a file can be continued after a crash.

Used by the encoding process (:mod:`softswitch.media.recording.opus_worker`), and free of numpy and PyAV for
the sake of its memory.
"""

import ctypes
import os
import zlib
from pathlib import Path

from softswitch.audio import libopus, ogg

BLOCK = 4
"""Bytes of one stereo sample of PCM16."""
BIT_RATE = 48000
"""Bits per second of both sides together."""
COMPLEXITY = 8
"""Complexity of the encoder while no audio is delayed, 0 to 10."""

_AUDIO = 2049
"""OPUS_APPLICATION_AUDIO."""
_GET_LOOKAHEAD = 4027
_LONGEST_PACKET = 1500
_FRAMES_A_PAGE = 50
"""A page a second, with frames of 20 ms."""


class OpusFile:
    """Opus stereo in Ogg; after a crash the file is readable up to its last page."""

    def __init__(self, path: str, sample_rate: int) -> None:
        """Open a file: begin it if empty, else continue it behind its last complete page.

        Args:
            path: existing file; a symbolic link is refused.
            sample_rate: 8000, 12000, 16000, 24000 or 48000 Hz, the same as before.

        Raises:
            OSError: the file cannot be opened, or the disk is full.
            ValueError: libopus is missing or refuses the sample rate.
        """
        self._encoder = 0
        library = libopus.library()
        if library is None:
            raise ValueError("opus: no libopus found, neither in PyAV's wheel nor on the system")
        self._library = library
        status = ctypes.c_int()
        self._encoder = library.opus_encoder_create(sample_rate, 2, _AUDIO, ctypes.byref(status))
        if not self._encoder or status.value:
            raise ValueError(f"sample_rate: Opus does not encode {sample_rate} Hz")
        self._set(libopus.SET_BITRATE, BIT_RATE)
        self._complexity = -1
        self.set_complexity(COMPLEXITY)
        lookahead = ctypes.c_int()
        library.opus_encoder_ctl(self._encoder, _GET_LOOKAHEAD, ctypes.byref(lookahead))
        self._scale = 48000 // sample_rate
        self._pre_skip = lookahead.value * self._scale
        self._frame = sample_rate // 50
        self._packet = ctypes.create_string_buffer(_LONGEST_PACKET)
        self._pending = bytearray()
        self._packets: list[bytes] = []
        self._segments = 0
        self._frames = 0
        self._taken = 0
        self.position = 0
        """Samples of each side that are in complete pages of the file."""
        self.is_complete = False
        """The last page of the stream is written."""
        self._fd = os.open(Path(path), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._begin(path, sample_rate)
        except (OSError, ValueError):
            os.close(self._fd)
            raise

    def __del__(self) -> None:
        """Free the encoder, which Python's memory management does not know."""
        if self._encoder:
            self._library.opus_encoder_destroy(self._encoder)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._end

    def set_complexity(self, complexity: int) -> None:
        """Set the complexity of the encoder, 0 to 10."""
        if complexity != self._complexity:
            self._complexity = complexity
            self._set(libopus.SET_COMPLEXITY, complexity)

    def write(self, pcm: bytes) -> None:
        """Append audio, PCM16 stereo.

        Raises:
            OSError: the disk is full or gone.
        """
        self._pending += pcm
        self._taken += len(pcm) // BLOCK
        step = self._frame * BLOCK
        whole = len(self._pending) // step * step
        for start in range(0, whole, step):
            self._encode(bytes(self._pending[start : start + step]))
        del self._pending[:whole]

    def close(self) -> None:
        """Encode the rest, write the last page and close the file.

        Raises:
            OSError: the disk is full or gone.
        """
        try:
            if not self.is_complete:
                self._finish()
        finally:
            os.close(self._fd)

    def _begin(self, path: str, sample_rate: int) -> None:
        self._end = os.fstat(self._fd).st_size
        start = max(0, self._end - 2 * ogg.LARGEST_PAGE)
        found = ogg.last_page(os.pread(self._fd, self._end - start, start)) if self._end else None
        if found is None:
            self._serial, self._number, self._end = zlib.crc32(path.encode()), 0, 0
            os.ftruncate(self._fd, 0)
            head = ogg.opus_head(2, self._pre_skip, sample_rate)
            self._append(ogg.page([head], 0, self._serial, 0, begin=True))
            self._append(ogg.page([ogg.opus_tags("softswitch")], 0, self._serial, 1))
            self._number = 2
            return
        self._end = start + found.end
        os.ftruncate(self._fd, self._end)
        self._serial, self._number, self.is_complete = found.serial, found.number + 1, found.is_end
        self._frames = -(-found.granule // (self._frame * self._scale))
        self.position = self._taken = self._frames * self._frame
        if self.is_complete:
            self.position = self._taken = max(0, found.granule - self._pre_skip) // self._scale

    def _finish(self) -> None:
        # The decoder's output lags by the pre-skip (RFC 7845 section 4.2), in samples at 48 kHz. Silence of
        # this length has to be encoded until the last sample comes out.
        granule = self._pre_skip + self._taken * self._scale
        if self._pending:
            self._encode(bytes(self._pending).ljust(self._frame * BLOCK, b"\0"), last=True)
            self._pending.clear()
        while self._frames * self._frame * self._scale < granule or not self._packets:
            self._encode(bytes(self._frame * BLOCK), last=True)
        self._flush(granule, end=True)
        self.position, self.is_complete = self._taken, True

    def _encode(self, pcm: bytes, *, last: bool = False) -> None:
        octets = self._library.opus_encode(self._encoder, pcm, self._frame, self._packet, _LONGEST_PACKET)
        if octets < 0:
            raise ValueError(f"opus: a frame cannot be encoded (error {octets})")
        packet = self._packet.raw[:octets]
        if not ogg.fits(self._segments, packet):
            self._flush(self._frames * self._frame * self._scale)
        self._packets.append(packet)
        self._segments += ogg.segments(packet)
        self._frames += 1
        if len(self._packets) >= _FRAMES_A_PAGE and not last:
            self._flush(self._frames * self._frame * self._scale)

    def _flush(self, granule: int, *, end: bool = False) -> None:
        self._append(ogg.page(self._packets, granule, self._serial, self._number, end=end))
        self._number += 1
        self._packets, self._segments = [], 0
        self.position = min(self._frames * self._frame, self._taken)

    def _append(self, data: bytes) -> None:
        """Write all of `data` or nothing: part of a page would read as damage."""
        left = memoryview(data)
        try:
            while left:
                done = len(data) - len(left)
                left = left[os.pwrite(self._fd, left, self._end + done) :]
        except OSError:
            os.ftruncate(self._fd, self._end)
            raise
        self._end += len(data)

    def _set(self, request: int, value: int) -> None:
        self._library.opus_encoder_ctl(self._encoder, request, ctypes.c_int(value))
