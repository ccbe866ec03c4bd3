"""Replacements of pyVoIP's packet buffers, which keep every byte of a call."""

from collections import deque

from pyVoIP import RTP

from softswitch.legs.pyvoip.frames import FRAME, SILENCE

_FILL = 5 * FRAME
"""A gap of up to 100 ms is filled with silence; a longer one is a pause, or a jump of the timestamp."""
_JUMP = 8000
"""Timestamp units (1 s) a packet may be behind to count as late; beyond, the timestamp has jumped."""
_WRAP = 1 << 32
_IN_BYTES = 50 * FRAME
_OUT_BYTES = 10 * FRAME
_PRIMED = 2 * FRAME
"""Audio that waits before a talk spurt is sent: it absorbs the jitter of the loop."""


class Arriving(RTP.RTPPacketManager):
    """Received audio in the order of its timestamps.

    pyVoIP seeks to the timestamp in a growing file: a packet far ahead allocates up to 4 GiB, one before the
    first rebuilds everything, and after a jump back it reads silence only.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._audio: deque[bytes] = deque()
        self._due: int | None = None
        self.waiting = 0
        """Bytes that can be read."""
        self.late = self.filled = self.jumps = self.dropped = 0
        """Late packets, bytes of inserted silence, jumps of the timestamp, dropped bytes."""

    def write(self, offset: int, data: bytes) -> None:
        """Append the audio of one packet.

        Args:
            offset: its timestamp, 32 bit.
            data: its audio, one byte a sample.
        """
        with self.bufferLock:
            if self._due is not None:
                ahead = (offset - self._due + _WRAP // 2) % _WRAP - _WRAP // 2
                if -_JUMP < ahead < 0:
                    self.late += 1
                    return
                if 0 < ahead <= _FILL:
                    self._append(bytes([SILENCE]) * ahead)
                    self.filled += ahead
                elif ahead:
                    self.jumps += 1
            self._due = (offset + len(data)) % _WRAP
            self._append(data)

    def read(self, length: int = FRAME) -> bytes:
        """Return audio; missing audio is silence, as in pyVoIP."""
        with self.bufferLock:
            data = b"".join(self._audio)
            self._audio.clear()
            if rest := data[length:]:
                self._audio.append(rest)
            self.waiting = len(rest)
        return data[:length] + bytes([SILENCE]) * (length - len(data))

    def _append(self, data: bytes) -> None:
        self._audio.append(data)
        self.waiting += len(data)
        while self.waiting > _IN_BYTES:
            lost = self._audio.popleft()
            self.waiting -= len(lost)
            self.dropped += len(lost)


class Leaving(RTP.RTPPacketManager):
    """Audio that waits to be sent: bounded, the oldest is dropped; that of pyVoIP grows, and plays late."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._audio = bytearray()
        self._playing = False
        self.dropped = 0
        """Dropped bytes."""

    def write(self, offset: int, data: bytes) -> None:
        """Append audio; the offset is that of a file in pyVoIP, and ignored."""
        with self.bufferLock:
            self._audio += data
            if (over := len(self._audio) - _OUT_BYTES) > 0:
                del self._audio[:over]
                self.dropped += over

    def read(self, length: int = FRAME) -> bytes:
        """Return audio; silence without audio, or with too little to go on without a gap."""
        with self.bufferLock:
            self._playing = bool(self._audio) and (self._playing or len(self._audio) >= _PRIMED)
            if not self._playing:
                return bytes([SILENCE]) * length
            data = bytes(self._audio[:length])
            del self._audio[:length]
        return data + bytes([SILENCE]) * (length - len(data))
