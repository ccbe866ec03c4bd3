"""What waits between the thread that brings a port's audio and the tick that plays it."""

from collections import deque

from softswitch.audio.pcm import TICK_MS

_WINDOW_TICKS = 250
"""The level is judged by its lowest point in 5 s: bursts and jitter go by, a wrong clock stays."""

_CREEP_MS = 20
"""A level that moves more than this in a window is someone sending ahead, not a clock that drifts."""

_SLACK_MS = 40
"""How far the level may creep before a frame is dropped or inserted."""

_HURRY_MS = 500
"""A level crept so far is mended at once, quiet or not."""

_MOST_PIECES = 16384
"""Pieces that may wait, however small: each takes more memory than the audio in it."""

_PATIENCE_TICKS = 5
"""So long a start of less than the prebuffer is waited with; then it was all there is."""


class FeedFifo:
    """Bytes in, frames of 20 ms out; bounded, primed before a talk spurt, patient with foreign clocks.

    One thread calls :meth:`put`, another all the rest; each counter has one writer.
    """

    __slots__ = (
        "_at", "_base", "_capacity", "_chunks", "_creep", "_frame", "_head", "_low", "_ms", "_playing",
        "_postponed", "_put", "_seen", "_stalled", "_start", "_taken", "_unit", "_window",
        "correction", "dropped", "mended_ms", "underruns",
    )  # fmt: skip

    def __init__(self, frame_bytes: int, unit: int, capacity_ms: int, prebuffer_ms: int) -> None:
        """Make an empty FIFO.

        Args:
            frame_bytes: bytes of 20 ms.
            unit: bytes of a sample; frames never begin inside one.
            capacity_ms: audio that may wait.
            prebuffer_ms: audio that must have come before any is handed out.
        """
        self._frame, self._unit, self._ms = frame_bytes, unit, frame_bytes / TICK_MS
        self._capacity = int(capacity_ms * self._ms)
        self._start = max(int(prebuffer_ms * self._ms), 1)
        self._chunks: deque[bytes] = deque()
        self._head, self._at = b"", 0
        self._seen = self._put = self._taken = 0
        self._playing, self._postponed, self._stalled = False, False, 0
        self._low, self._window, self._base = 1 << 62, 0, -1
        self._creep = 0
        self.correction = 0
        """Frames that should quietly be dropped (1) or inserted (-1) now."""
        self.dropped = 0
        """Bytes refused for want of room."""
        self.underruns = 0
        """Times it ran empty."""
        self.mended_ms = 0
        """Audio dropped or inserted for the sake of foreign clocks."""

    @property
    def received(self) -> int:
        """Bytes accepted."""
        return self._put

    @property
    def level(self) -> int:
        """Bytes that wait."""
        return self._put - self._taken

    def put(self, data: bytes) -> int:
        """Append audio of any length; return how many bytes found no room."""
        lost = 0
        # What was dropped may have ended inside a sample: then the rest of that sample goes too.
        if skew := (self._put - self._seen) % self._unit:
            lost = min(skew, len(data))
            data = data[lost:]
            self._seen += lost
        self._seen += len(data)
        room = self._capacity - (self._put - self._taken) if len(self._chunks) < _MOST_PIECES else 0
        if len(data) > room:
            kept = max(room - (self._put + room) % self._unit, 0)
            lost += len(data) - kept
            data = data[:kept]
        if data:
            self._chunks.append(data)
            self._put += len(data)
        self.dropped += lost
        return lost

    def take(self) -> bytes | None:
        """Return the next frame, shorter at the end of a talk spurt, None while there is nothing to play."""
        level = self._put - self._taken
        if self._postponed or (not self._playing and not self._is_primed(level)):
            self._postponed = False
            return None
        self._watch(level)
        if level >= self._frame:
            return self._cut(self._frame)
        self._playing, self._low, self._window, self._base = False, 1 << 62, 0, -1
        self.correction = 0
        self.underruns += 1
        rest = level - level % self._unit
        return self._cut(rest) if rest else None

    def mend(self) -> None:
        """Carry a correction out while the port is quiet: throw a frame away, or put the next one off."""
        if self.correction > 0 and self.level >= 2 * self._frame:
            self._cut(self._frame)
        self._postponed = self.correction < 0
        self._creep -= self.correction * self._frame
        self._low, self._window, self.correction = 1 << 62, 0, 0
        self.mended_ms += TICK_MS

    @property
    def is_urgent(self) -> bool:
        """Tell whether a correction can no longer wait for a quiet moment."""
        return self._creep > _HURRY_MS * self._ms

    def _is_primed(self, level: int) -> bool:
        if level < self._unit:
            self._stalled = 0
            return False
        self._stalled += 1
        self._playing = level >= self._start or self._stalled > _PATIENCE_TICKS + self._start / self._frame
        if self._playing:
            self._stalled = 0
        return self._playing

    def _watch(self, level: int) -> None:
        """Notice a foreign clock: the lowest level of a window creeps away from where it was."""
        self._low = min(self._low, level)
        self._window += 1
        if self._window < _WINDOW_TICKS:
            return
        low, self._low, self._window = self._low, 1 << 62, 0
        previous, self._creep = self._creep, low - self._base
        if self._base < 0 or abs(self._creep - previous) > _CREEP_MS * self._ms:
            self._base, self._creep, self.correction = low, 0, 0
        elif self._creep > _SLACK_MS * self._ms:
            self.correction = 1
        elif self._creep < 0 and low < self._frame + self._frame // 2:
            self.correction = -1

    def _cut(self, size: int) -> bytes:
        head, at = self._head, self._at
        if at == len(head):
            head, at = self._chunks.popleft(), 0
        end = at + size
        if end < len(head):
            self._head, self._at = head, end
            cut = head[at:end]
        elif end == len(head):
            self._head, self._at = b"", 0
            cut = head[at:] if at else head
        else:
            cut = self._gather(head[at:], size)
        self._taken += size
        return cut

    def _gather(self, first: bytes, size: int) -> bytes:
        pieces, need = [first], size - len(first)
        while need:
            chunk = self._chunks.popleft()
            pieces.append(chunk[:need])
            if len(chunk) > need:
                self._head, self._at = chunk, need
                break
            need -= len(chunk)
        else:
            self._head, self._at = b"", 0
        return b"".join(pieces)
