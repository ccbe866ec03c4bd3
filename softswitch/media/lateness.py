"""Lateness of live sources: how much of a queue is late, judged by when its audio arrived.

After a stall of a connection, all audio that was held up arrives at once. Played in full, it would delay the
source for the rest of the call. A source that sends ahead on purpose (a bot with a whole sentence ready)
fills the queue in the same way. The two differ in time: audio sent ahead comes before it is due, audio of a
stalled source comes after it was due. So each source gets a timeline (bytes due at a given moment), and only
audio that is queued without being ahead of the timeline is late.

The queue that is wanted follows the source: a source that has needed less than its prebuffer for some seconds
is on time with less, until its queue runs empty once.

Used by feed ports (bytes of their format) and by tracks (samples of the bus); all sizes here are in the unit
that the caller counts in, called bytes.
"""

from collections import deque

from softswitch.audio.pcm import TICK_MS

WINDOW_S = 0.5
"""Length of a window, seconds. The lowest level of the queue within a window is audio that is never needed to
bridge jitter or the gap between two large messages."""

SLACK_MS = 40
"""Excess over the target that is tolerated, milliseconds."""

_STEADY = 10
"""Windows (5 s) whose lowest level tells how much of the queue a source does not need."""

_CAUTIOUS_S = 60.0
"""Time after a queue ran empty in which the whole target is wanted, seconds."""

DEADLINE_S = 1.4
"""Time from the finding that a source is late to its being on time; with the window it is less than 2 s."""

_AHEAD_MS = 300
"""A lead of more than this shows a source that sends ahead: messages of live sources are shorter."""

_MISSING_MS = 500
"""A source that is short of its timeline by this after a gap had nothing to say: it begins a new timeline."""

_LEAST_PACE, _MOST_PACE = 0.6, 1.15
"""Audio received per time of a source that sends steadily. Below, the queue drains by itself; above, a burst
is still arriving."""

QUIET = 200.0
"""Peak of a frame, PCM16 units (-44 dB of full scale), below which a frame more or less is not heard."""

_COMPRESSING_GAIN, _CUTTING_GAIN = 0.35, 1.0
"""Audio that compressing speech, and cutting silence, win back at least; seconds for each second played."""


class Lateness:
    """Judge of one source; used by the tick's thread only."""

    __slots__ = (
        "_cautious_until", "_credit", "_floor", "_floors", "_lead", "_least", "_origin", "_peak", "_proven",
        "_received", "_second", "_since", "_slack", "_sure", "_target", "due", "late", "turn",
    )  # fmt: skip

    def __init__(
        self, bytes_per_second: float, target_bytes: int, *, sure: bool, least_bytes: int | None = None
    ) -> None:
        """Begin without a timeline.

        Args:
            bytes_per_second: rate of the source.
            target_bytes: queue at its lowest point that is wanted: the prebuffer.
            sure: True: the source is live, and all queued audio above the target is late. False: audio that
                was sent ahead is told apart by the timeline.
            least_bytes: queue that is enough for a source without jitter; None: always the target.
        """
        self._second, self._target, self._sure = bytes_per_second, target_bytes, sure
        self._slack = int(bytes_per_second * SLACK_MS / 1000)
        self._least = target_bytes if least_bytes is None else min(least_bytes, target_bytes)
        self._floors: deque[int] = deque(maxlen=_STEADY)
        """Lowest levels of the latest windows in which the source spoke on."""
        self._cautious_until = 0.0
        self._since = -1.0
        self._received = 0
        self._floor, self._lead = 1 << 62, 0.0
        self._origin = -1.0
        """Monotonic seconds at which the timeline began; negative: it begins with the next audio."""
        self._credit = 0
        """Bytes that were due at the origin."""
        self._peak = 0.0
        """Largest lead within the last window, bytes; 0 while unknown."""
        self._proven = False
        """The source has been on time, so that a gap is a stall and not the end of audio sent ahead."""
        self.late = 0
        """Bytes that are late; 0 for a source that is on time."""
        self.due = 0.0
        """Monotonic seconds by which the source has to be on time again."""
        self.turn = 0
        """Order in which late sources are served; set and read by the caller that discards audio."""

    def observe(self, now: float, received: int, level: int) -> None:
        """Observe the queue in a tick that plays from it.

        Args:
            now: monotonic seconds.
            received: bytes received since the beginning.
            level: bytes queued before the tick takes its frame.
        """
        if self._since < 0.0:
            self._begin(now, received, level)
        if level < self._floor:
            self._floor = level
            self._lead = self._lead_at(now, received)
        if now - self._since >= WINDOW_S:
            self._judge(now, received)

    def ran_dry(self, now: float) -> None:
        """Note an empty queue: nothing is late, and a source that was never on time begins a new timeline."""
        if self._since < 0.0:
            return
        self._floors.clear()
        self._cautious_until = now + _CAUTIOUS_S
        self.late = 0
        self._since = -1.0
        if not self._proven:
            self._origin = -1.0

    def window(self) -> tuple[float, float, float, int, int, float]:
        """Return what compiled code needs to observe the queue until the window ends.

        Returns:
            Monotonic seconds at which the window and the timeline began, negative before; bytes per second;
            bytes due at the begin of the timeline; the lowest level of the window, and the lead at that time.
        """
        return self._since, self._origin, self._second, self._credit, self._floor, self._lead

    def saw(self, floor: int, lead: float) -> None:
        """Take over the lowest level of the window that compiled code observed, and the lead at that time."""
        self._floor, self._lead = floor, lead

    def cut(self, size: int) -> None:
        """Note that `size` bytes of the queue were discarded."""
        self.late = max(self.late - size, 0)
        self._floors = deque((floor - size for floor in self._floors), maxlen=_STEADY)

    def irrecoverable(self, now: float, *, silent: bool) -> int:
        """Return the late bytes that compressing or cutting will not win back by :attr:`due`; to be dropped.

        Args:
            now: monotonic seconds.
            silent: the source is silent now, so that whole frames can be cut.
        """
        gain = _CUTTING_GAIN if silent else _COMPRESSING_GAIN
        gained = max(self.due - now, 0.0) * gain * self._second
        return max(int(self.late - gained), 0)

    def _begin(self, now: float, received: int, level: int) -> None:
        if self._origin < 0.0:
            # Of the audio queued at the origin, only the prebuffer is due; the rest was sent ahead.
            self._origin, self._credit = now, received - max(level - self._target, 0)
        self._peak = 0.0
        self._window(now, received)

    def _lead_at(self, now: float, received: int) -> float:
        """Return the lead of the source: bytes received before they are due; negative: bytes missing.

        At time t after the origin, `_credit + t * rate` bytes are due.
        """
        return received - self._credit - (now - self._origin) * self._second

    def _window(self, now: float, received: int) -> None:
        self._since, self._received, self._floor = now, received, 1 << 62

    def _judge(self, now: float, received: int) -> None:
        speaks_on = received - self._received >= _LEAST_PACE * (now - self._since) * self._second
        if speaks_on:
            self._floors.append(self._floor)
        waits = self._floor - self._target
        if waits <= self._slack:
            # The deadline moves on: what a steady source does not need is cut or compressed, never dropped.
            self.late = self._spare(now, received) if speaks_on else 0
            self.due = now + DEADLINE_S
            if speaks_on:
                self._proven = True
                self._move_origin(max(self._lead, self._lead_at(now, received)))
        else:
            self._peak = 0.0
            self._lateness(now, waits, speaks_on, received)
        self._window(now, received)

    def _spare(self, now: float, received: int) -> int:
        """Return the bytes that a steady source has not needed for seconds and that were not sent ahead."""
        if len(self._floors) < _STEADY or now < self._cautious_until:
            return 0
        spare = min(self._floors) - self._least
        if not self._sure:
            spare -= max(int(max(self._lead, self._lead_at(now, received))), 0)
        # Silence is cut in whole frames: less than one would be cut too much.
        frame = self._second * TICK_MS / 1000
        return max(int(spare // frame * frame), 0)

    def _move_origin(self, peak: float) -> None:
        """Move the timeline so that the source is on time now: clocks drift, and sources pause.

        A lead is given up at once. A shortfall is given up only as far as it lasted through a whole window:
        audio that is missing now may be held up and still arrive.
        """
        shift = self._lead if self._lead > 0.0 else min(max(peak, self._peak), 0.0)
        self._credit += int(shift)
        self._peak = peak - shift

    def _lateness(self, now: float, waits: int, speaks_on: bool, received: int) -> None:
        # `waits` is the queue's excess over the target at its lowest point; of it, the lead is not late.
        if not self._sure:
            if max(self._lead, self._lead_at(now, received)) < -self._second * _MISSING_MS / 1000:
                self.late = 0
                if received - self._received <= _MOST_PACE * (now - self._since) * self._second:
                    self._credit += int(self._lead) - waits
                    self._proven = False
                return
            if self._lead > self._second * _AHEAD_MS / 1000:
                self._proven = False
            waits -= max(int(self._lead), 0)
        if waits <= self._slack or not (speaks_on or self._sure):
            self.late = 0
            return
        if not self.late:
            self.due = now + DEADLINE_S
        self.late = waits
