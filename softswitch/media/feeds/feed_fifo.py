"""Queue of a feed port's audio between the thread that receives it and the tick that plays it.

The queue also follows foreign clocks. A source whose clock runs fast by 100 ppm sends 6 ms too much a minute;
the excess stays in the queue as delay. The lowest level within a window is the part of the queue that jitter
and message sizes do not need. If this level rises slowly from window to window, the source's clock is fast
and one frame is dropped now and then; if it falls to the bottom, the clock is slow and a pause of one frame
is inserted. A level that moves quickly is a source that sends ahead, and is left alone.
"""

from collections import deque

from softswitch.audio.pcm import TICK_MS

_WINDOW_TICKS = 250
"""Ticks of a window (5 s), long enough for its lowest level to be free of bursts and jitter."""

_CREEP_MS = 20
"""Largest change of the lowest level from one window to the next that is attributed to a clock.

20 ms in 5 s are 4000 ppm, far more than any real clock; a larger change is a source that sends ahead.
"""

_SLACK_MS = 40
"""Rise of the lowest level, from where it was first, above which a frame is dropped; two frames."""

HURRY_MS = 500
"""Rise above which a frame is dropped even while the port is not quiet."""

_MOST_PIECES = 16384
"""Most pieces queued, however small: an object of a few bytes costs more memory than its audio."""

_PATIENCE_TICKS = 5
"""Ticks (100 ms) beyond the prebuffer after which a shorter talk spurt is played all the same."""


class FeedFifo:
    """Bounded queue: bytes in, frames of 20 ms out, with a prebuffer and correction of clock drift.

    One thread calls :meth:`put`, another thread all other methods. Every counter has a single writer, so that
    no lock is needed: `_put` and `dropped` belong to the first thread, `_taken` to the second.
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
            unit: bytes of a sample; frames never begin inside a sample.
            capacity_ms: longest queue, milliseconds.
            prebuffer_ms: queue from which on a talk spurt is played, milliseconds.
        """
        # _ms is bytes in a millisecond; levels below are bytes.
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
        """1: a frame should be dropped in the next quiet moment; -1: a frame should be inserted; 0:
        neither."""
        self.dropped = 0
        """Bytes refused because the queue was full."""
        self.underruns = 0
        """Number of times the queue ran empty."""
        self.mended_ms = 0
        """Audio dropped or inserted because of clock drift, milliseconds."""

    @property
    def received(self) -> int:
        """Bytes accepted."""
        return self._put

    @property
    def frame(self) -> int:
        """Bytes of 20 ms."""
        return self._frame

    @property
    def level(self) -> int:
        """Bytes that wait."""
        return self._put - self._taken

    def put(self, data: bytes) -> int:
        """Append audio of any length; return the number of bytes refused."""
        lost = 0
        # `_seen` counts all bytes offered, `_put` those accepted. Where a refusal ended inside a sample, the
        # two differ by part of a sample, and the rest of that sample has to be refused as well.
        if skew := (self._put - self._seen) % self._unit:
            lost = min(skew, len(data))
            data = data[lost:]
            self._seen += lost
        self._seen += len(data)
        room = self._capacity - (self._put - self._taken) if len(self._chunks) < _MOST_PIECES else 0
        if len(data) > room:
            # Accept up to a boundary between samples.
            kept = max(room - (self._put + room) % self._unit, 0)
            lost += len(data) - kept
            data = data[:kept]
        if data:
            self._chunks.append(data)
            self._put += len(data)
        self.dropped += lost
        return lost

    def take(self) -> bytes | None:
        """Return the next frame, shorter at the end of a talk spurt; None while nothing is to be played."""
        level, frame = self._put - self._taken, self._frame
        if self._postponed or (not self._playing and not self._is_primed(level)):
            self._postponed = False
            return None
        self._low = min(self._low, level)
        self._window += 1
        if self._window >= _WINDOW_TICKS:
            self._watch()
        if level >= frame:
            if self._at == len(self._head) and len(self._chunks[0]) == frame:
                # Most sources send whole frames.
                self._taken += frame
                return self._chunks.popleft()
            return self._cut(frame)
        self._playing, self._low, self._window, self._base = False, 1 << 62, 0, -1
        self.correction = 0
        self.underruns += 1
        rest = level - level % self._unit
        return self._cut(rest) if rest else None

    def apply_correction(self) -> None:
        """Apply the correction: discard the next frame, or postpone it by one tick.

        The caller picks a quiet moment, or :attr:`is_urgent`.
        """
        if self.correction > 0 and self.level >= 2 * self._frame:
            self._cut(self._frame)
        self._postponed = self.correction < 0
        # The level is one frame lower (or higher) from now on; the window begins anew.
        self._creep -= self.correction * self._frame
        self._low, self._window, self.correction = 1 << 62, 0, 0
        self.mended_ms += TICK_MS

    def skip(self, size: int) -> bytes:
        """Discard `size` bytes and return the frame behind them.

        Args:
            size: bytes, a multiple of the unit; at least `size` and a frame must be queued.
        """
        if size:
            self._cut(size)
        return self._cut(self._frame)

    @property
    def is_urgent(self) -> bool:
        """True if the correction must not wait for a quiet moment any longer."""
        return self._creep > HURRY_MS * self._ms

    def _is_primed(self, level: int) -> bool:
        if level < self._unit:
            self._stalled = 0
            return False
        self._stalled += 1
        self._playing = level >= self._start or self._stalled > _PATIENCE_TICKS + self._start / self._frame
        if self._playing:
            self._stalled = 0
        return self._playing

    def _watch(self) -> None:
        """Detect clock drift: compare the lowest level of a whole window with the level at the beginning.

        `_base` is the lowest level of the first window, negative while unknown; `_creep` is the rise since
        then.
        """
        low, self._low, self._window = self._low, 1 << 62, 0
        previous, self._creep = self._creep, low - self._base
        if self._base < 0 or abs(self._creep - previous) > _CREEP_MS * self._ms:
            # The level jumped: not a clock. Measure from the new level.
            self._base, self._creep, self.correction = low, 0, 0
        elif self._creep > _SLACK_MS * self._ms:
            self.correction = 1
        elif self._creep < 0 and low < self._frame + self._frame // 2:
            # Less than 30 ms are left at the lowest point, and the level falls: an underrun is near.
            self.correction = -1

    def _cut(self, size: int) -> bytes:
        """Take `size` bytes. `_head` is the piece in use, `_at` the first byte of it not yet taken."""
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
