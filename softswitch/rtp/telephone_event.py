"""Keys pressed, as RTP payloads (RFC 4733)."""

from collections import deque
from dataclasses import dataclass

DIGITS = "0123456789*#ABCD"
FLASH = "flash"
"""What a hook flash (event 16) is called."""

_EVENTS = (*DIGITS, FLASH)
_PAYLOAD = 4
_END = 0x80
_VOLUME = 10
"""-dBm0 of the keys we send: what telephones send."""

_LONGEST = 0xFFFF
_TIMEOUT = 0.16
"""Seconds without a further packet after which a press counts as over: every end packet was lost."""

_REMEMBERED = 8
_ENDS = 3
"""The end packet is sent three times (RFC 4733 §2.5.1.4)."""


@dataclass(frozen=True, slots=True)
class Press:
    """One key that was pressed and let go."""

    digit: str
    """One of :data:`DIGITS`, or :data:`FLASH`."""
    duration_ms: int


@dataclass(slots=True)
class _Open:
    code: int
    timestamp: int
    duration: int
    """Of this segment, in clock units."""
    before: int
    """Of the segments that ended because the 16 bits were full."""
    heard: float


class EventReceiver:
    """Turn the event packets of one stream into one press each, whatever was lost, doubled or reordered."""

    def __init__(self, clock_rate: int) -> None:
        """Listen to events whose durations count at `clock_rate` Hz."""
        self._clock_rate = clock_rate
        self._open: _Open | None = None
        self._done: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)

    @property
    def open(self) -> bool:
        """Whether a key is down."""
        return self._open is not None

    def receive(self, payload: bytes, timestamp: int, now: float) -> list[Press]:
        """Take one packet and return the presses that are over with it.

        Args:
            payload: of the packet; of several events in it only the first counts, as in RFC 4733 §2.3.
            timestamp: of the packet: all packets of a press have that of its beginning.
            now: monotonic seconds.
        """
        if len(payload) < _PAYLOAD or payload[0] >= len(_EVENTS):
            return []
        code, flags, duration = payload[0], payload[1], int.from_bytes(payload[2:4])
        if (timestamp, code) in self._done:
            return []
        presses, press = self._turn_to(code, timestamp, now)
        press.duration = max(press.duration, duration)
        press.heard = now
        if flags & _END:
            presses += self._close()
        return presses

    def poll(self, now: float) -> list[Press]:
        """Return the press whose end packets were all lost, once that is certain."""
        if self._open is not None and now - self._open.heard >= _TIMEOUT:
            return self._close()
        return []

    def _turn_to(self, code: int, timestamp: int, now: float) -> tuple[list[Press], _Open]:
        """Make the packet's event the open one; return what that ends, and it."""
        old = self._open
        if old is not None and (old.code, old.timestamp) == (code, timestamp):
            return [], old
        if old is not None and old.code == code and self._continues(old, timestamp):
            self._done.append((old.timestamp, code))
            self._open = _Open(code, timestamp, 0, old.before + old.duration, now)
            return [], self._open
        presses = self._close()
        self._open = _Open(code, timestamp, 0, 0, now)
        return presses, self._open

    @staticmethod
    def _continues(old: _Open, timestamp: int) -> bool:
        # A press that outlasts the 16 bits goes on as another segment, whose timestamp is where the full one
        # ends (RFC 4733 §2.5.1.3); its last packets may be lost, so a fifteenth of it may be missing.
        step = (timestamp - old.timestamp) & 0xFFFFFFFF
        return old.duration >= _LONGEST * 14 // 15 and old.duration <= step <= _LONGEST + 1

    def _close(self) -> list[Press]:
        press, self._open = self._open, None
        if press is None:
            return []
        self._done.append((press.timestamp, press.code))
        total = press.before + press.duration
        return [Press(_EVENTS[press.code], total * 1000 // self._clock_rate)]


@dataclass(frozen=True, slots=True)
class EventPacket:
    """One event packet to be sent."""

    payload: bytes
    marker: bool
    behind: int
    """By how many clock units its timestamp lies before the present frame's."""


class EventSender:
    """Send queued digits as event packets, one step per audio frame."""

    def __init__(self, clock_rate: int, step_ms: int = 20) -> None:
        """Send with timestamps and durations at `clock_rate` Hz, one packet every `step_ms`."""
        self._clock_rate = clock_rate
        self._step_ms = step_ms
        self._step = clock_rate * step_ms // 1000
        self._queue: deque[tuple[int, int, int, str]] = deque()
        self._code = -1
        self._left = 0
        """Clock units the key is still to be held."""
        self._segment = 0
        self._began = 0
        """Clock units between the segment's timestamp and the frame that is next."""
        self._ends = 0
        self._gap = 0
        self._text = ""

    @property
    def busy(self) -> bool:
        """Whether anything is left to send."""
        return bool(self._queue) or self._code >= 0 or self._gap > 0

    @property
    def waiting(self) -> int:
        """Digits that have not begun."""
        return len(self._queue)

    def queue(self, digits: str, duration_ms: int, gap_ms: int) -> None:
        """Append digits.

        Args:
            digits: of :data:`DIGITS`, either case.
            duration_ms: how long each key is held, 1 or more.
            gap_ms: pause after each.

        Raises:
            ValueError: there is no event for a character; nothing was queued.
        """
        codes = [DIGITS.find(digit) for digit in digits.upper()]
        if not codes or -1 in codes:
            raise ValueError(f"digits: {digits!r} has other characters than {DIGITS}")
        duration = max(self._clock_rate * duration_ms // 1000, self._step)
        gap = max(-(-gap_ms // self._step_ms), _ENDS - 1)
        for code in codes[:-1]:
            self._queue.append((code, duration, gap, ""))
        self._queue.append((codes[-1], duration, gap, digits))

    def step(self) -> tuple[list[EventPacket], bool, str]:
        """Advance by one frame.

        Returns:
            The packets to send now; whether they stand in the audio's place; and the digits of a call of
            :meth:`queue` that are complete with this step, else an empty text.
        """
        if self._code < 0 and self._gap <= 0 and self._queue:
            self._code, self._left, self._gap, self._text = self._queue.popleft()
            self._segment, self._began, self._ends = 0, 0, 0
            return [self._hold(marker=True)], True, ""
        if self._code >= 0 and self._ends == 0:
            return [self._hold(marker=False)], True, ""
        return self._fall_silent()

    def _hold(self, *, marker: bool) -> EventPacket:
        """Send one more packet of the key that is down; the last of it ends it."""
        if self._segment + self._step > _LONGEST:
            # The next segment begins where this one ends (RFC 4733 §2.5.1.3).
            self._began -= self._segment
            self._segment = 0
        grown = min(self._step, self._left)
        self._segment += grown
        self._left -= grown
        behind = self._began
        self._began += self._step
        if self._left == 0:
            self._ends = 1
        return EventPacket(self._payload(), marker, behind)

    def _payload(self) -> bytes:
        flags = (_END if self._ends else 0) | _VOLUME
        return bytes((self._code, flags)) + self._segment.to_bytes(2)

    def _fall_silent(self) -> tuple[list[EventPacket], bool, str]:
        packets: list[EventPacket] = []
        if self._code >= 0:
            self._ends += 1
            packets.append(EventPacket(self._payload(), marker=False, behind=self._began))
            self._began += self._step
            if self._ends >= _ENDS:
                self._code = -1
        self._gap -= 1
        if self._gap > 0 or self._code >= 0:
            return packets, False, ""
        text, self._text = self._text, ""
        return packets, False, text
