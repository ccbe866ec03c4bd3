"""What stands in for pyVoIP's packet buffers, which keep every byte of a call for ever."""

from collections import deque

from pyVoIP import RTP

from softswitch.endpoints.pyvoip.frames import FRAME, SILENCE

_FILL = 5 * FRAME
"""A hole of up to 100 ms is filled with silence; a longer one is a talker who paused, or a jump."""
_JUMP = 8000
"""A timestamp further back than a second is a new beginning, not a late packet."""
_WRAP = 1 << 32
_IN_BYTES = 50 * FRAME
_OUT_BYTES = 10 * FRAME
_PRIMED = 2 * FRAME
"""What waits before a talk spurt goes out: the loop hands frames over with some jitter."""


class Arriving(RTP.RTPPacketManager):
    """Received audio in the order of its timestamps.

    pyVoIP seeks to the timestamp in a growing file: a packet from far ahead allocates up to 4 GiB, one from
    before the first rebuilds everything, and a jump back reads silence ever after.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._audio: deque[bytes] = deque()
        self._due: int | None = None
        self.waiting = 0
        """Bytes that can be read."""
        self.late = self.filled = self.jumps = self.dropped = 0
        """Packets too late, bytes of silence put in, jumps of the timestamp, bytes thrown away."""

    def write(self, offset: int, data: bytes) -> None:
        """Take the audio of one packet.

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
        """Return audio; silence stands for what is missing, as in pyVoIP."""
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
    """Audio that waits to be sent: bounded, the oldest is dropped; pyVoIP lets it grow and play on late."""

    def __init__(self) -> None:
        """Hold nothing."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._audio = bytearray()
        self._playing = False
        self.dropped = 0
        """Bytes thrown away."""

    def write(self, offset: int, data: bytes) -> None:
        """Append audio; its offset is that of a file, and of no use here."""
        with self.bufferLock:
            self._audio += data
            if (over := len(self._audio) - _OUT_BYTES) > 0:
                del self._audio[:over]
                self.dropped += over

    def read(self, length: int = FRAME) -> bytes:
        """Return audio; silence where there is none, and before enough waits to go on without a gap."""
        with self.bufferLock:
            self._playing = bool(self._audio) and (self._playing or len(self._audio) >= _PRIMED)
            if not self._playing:
                return bytes([SILENCE]) * length
            data = bytes(self._audio[:length])
            del self._audio[:length]
        return data + bytes([SILENCE]) * (length - len(data))
