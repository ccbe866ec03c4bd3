"""Key presses as RTP telephone events (RFC 4733): receiving and sending."""

import re
from collections import deque
from dataclasses import dataclass

DIGITS = "0123456789*#ABCD"
PAUSE = ","
"""Stands for a pause among the digits to be sent."""
PAUSE_MS = 500
"""Duration of that pause, in milliseconds."""
FLASH = "flash"
"""Name of the hook flash, event 16 (RFC 4733 §3.2)."""

_EVENTS = (*DIGITS, FLASH)
_PAYLOAD = 4
_END = 0x80
_VOLUME = 10
"""Level of sent events, -dBm0: the level that telephones use."""

_LONGEST = 0xFFFF
"""Longest duration of a segment, clock units: the field has 16 bits, 8.19 s at 8 kHz."""

_TIMEOUT = 0.16
"""Seconds without a packet after which a press has ended: all of its end packets were lost."""

_REMEMBERED = 8
"""Ended presses remembered, so that late duplicates of their packets report nothing."""

_ENDS = 3
"""The end packet is sent three times (RFC 4733 §2.5.1.4)."""


@dataclass(frozen=True, slots=True)
class Press:
    """A completed key press."""

    digit: str
    """One of :data:`DIGITS`, or :data:`FLASH`."""
    duration_ms: int


@dataclass(slots=True)
class _Open:
    code: int
    timestamp: int
    duration: int
    """Duration of this segment, clock units."""
    before: int
    """Duration of earlier segments of the press, whose 16 bits were used up."""
    heard: float


class EventReceiver:
    """Receiver of event packets: one press each, despite loss, duplicates and reordering."""

    def __init__(self, clock_rate: int) -> None:
        """Receive events whose durations count at `clock_rate` Hz."""
        self._clock_rate = clock_rate
        self._open: _Open | None = None
        self._done: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)

    @property
    def open(self) -> bool:
        """True while a key is held down."""
        return self._open is not None

    def receive(self, payload: bytes, timestamp: int, now: float) -> list[Press]:
        """Process one packet and return the presses that it ends.

        Args:
            payload: payload of the packet; only the first event in it is read (RFC 4733 §2.3).
            timestamp: timestamp of the packet; all packets of a press carry the time of its beginning.
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
        """Return the press whose end packets were all lost, after the timeout."""
        if self._open is not None and now - self._open.heard >= _TIMEOUT:
            return self._close()
        return []

    def _turn_to(self, code: int, timestamp: int, now: float) -> tuple[list[Press], _Open]:
        """Make the event of a packet the open one; return the presses that this ends, and the open event."""
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
    """An event packet to be sent."""

    payload: bytes
    marker: bool
    behind: int
    """Clock units between its timestamp and the present frame's."""


class EventSender:
    """Sender of queued digits as event packets, one step per audio frame."""

    def __init__(self, clock_rate: int, step_ms: int = 20) -> None:
        """Send with timestamps and durations at `clock_rate` Hz, one packet every `step_ms`."""
        self._clock_rate = clock_rate
        self._step_ms = step_ms
        self._step = clock_rate * step_ms // 1000
        self._queue: deque[tuple[int, int, int, str]] = deque()
        self._code = -1
        self._left = 0
        """Clock units for which the key is still to be held."""
        self._segment = 0
        self._began = 0
        """Clock units between the segment's timestamp and the frame that is next."""
        self._ends = 0
        self._gap = 0
        self._text = ""

    @property
    def busy(self) -> bool:
        """True while something is left to send."""
        return bool(self._queue) or self._code >= 0 or self._gap > 0

    @property
    def waiting(self) -> int:
        """Number of digits not begun yet."""
        return len(self._queue)

    def queue(self, digits: str, duration_ms: int, gap_ms: int) -> None:
        """Append digits.

        Args:
            digits: of :data:`DIGITS`, either case; a comma is a pause of half a second.
            duration_ms: how long each key is held, 1 or more.
            gap_ms: pause after each.

        Raises:
            ValueError: there is no event for a character, or no digit at all; nothing was queued.
        """
        codes = [DIGITS.find(digit) for digit in digits.upper() if digit != PAUSE]
        if not codes or -1 in codes:
            raise ValueError(f"digits: {digits!r} has other characters than {DIGITS}")
        duration = max(self._clock_rate * duration_ms // 1000, self._step)
        gap = max(-(-gap_ms // self._step_ms), _ENDS - 1)
        # A pause makes the gap before the next digit longer; behind the last one it is of no use.
        first, *pauses = (len(run) * (PAUSE_MS // self._step_ms) for run in re.split("[^,]", digits))
        if self._queue:
            code, held, silent, text = self._queue[-1]
            self._queue[-1] = code, held, silent + first, text
        else:
            self._gap += first
        last = len(codes) - 1
        for number, code in enumerate(codes):
            pause, text = (pauses[number], "") if number < last else (0, digits)
            self._queue.append((code, duration, gap + pause, text))

    def step(self) -> tuple[list[EventPacket], bool, str]:
        """Advance by one frame.

        Returns:
            The packets to send now; True if they replace the audio of this frame; and the digits of a call of
            :meth:`queue` that this step completes, else an empty text.
        """
        if self._code < 0 and self._gap <= 0 and self._queue:
            self._code, self._left, self._gap, self._text = self._queue.popleft()
            self._segment, self._began, self._ends = 0, 0, 0
            return [self._hold(marker=True)], True, ""
        if self._code >= 0 and self._ends == 0:
            return [self._hold(marker=False)], True, ""
        return self._fall_silent()

    def _hold(self, *, marker: bool) -> EventPacket:
        """Send a packet of the key that is down; the one that uses up its duration ends it."""
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
