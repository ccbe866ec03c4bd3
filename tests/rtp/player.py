"""A listener without ears: sessions whose packets are numbered and whose frames are written down."""

import numpy as np

from softswitch.rtp.packet import UNITS, UNITS_PER_MS
from softswitch.rtp.playout import CONCEAL, PLAY, RECOVER, SILENCE
from softswitch.rtp.session import Coding, Sessions
from tests.rtp.wire import packet, rows

FRAME = 20 * UNITS_PER_MS
CODINGS = (Coding(8000, UNITS // 8000), Coding(8000, UNITS // 8000), Coding(48000, UNITS // 8000))
"""G.711 twice, and something with a clock of 48 kHz whose octets last as long."""

KINDS = {0: 0, 8: 1, 111: 2}
NAMES = {SILENCE: "silence", CONCEAL: "conceal", RECOVER: "recover", PLAY: "play"}


def numbered(index: int, ptime_ms: int = 20) -> bytes:
    """Return a payload that can be recognised."""
    return index.to_bytes(4) + bytes(ptime_ms * 8 - 4)


class Player:
    """Drives one slot, tick by tick."""

    def __init__(self, now: float = 100.0):
        self.sessions = Sessions(CODINGS, 4)
        self.slot = 2
        self.sessions.open(self.slot, ssrc=77, sequence=1, timestamp=1, cname="player", now=now)
        self.sessions.set_formats(self.slot, KINDS, {101: 8000})
        self.now = now
        self.began = now
        self.held = 0
        self.played: list[int] = []
        """Indices of the packets that were played, in order."""
        self.steps: list[tuple[float, str, int]] = []
        """(milliseconds since the beginning, what was done, index or -1)."""
        self.synthetic = 0
        """Units of concealment and silence since the first packet was played."""

    def receive(self, *datagrams: bytes, now: float | None = None) -> None:
        data, lengths = rows(datagrams)
        slots = np.full(len(datagrams), self.slot, np.intp)
        self.sessions.receive(data, lengths, slots, self.now if now is None else now)

    def tick(self) -> None:
        """Hear 20 ms."""
        slots, units = np.array([self.slot]), round(self.now * UNITS)
        jitter = self.sessions.jitter
        if jitter.begin_tick(units):
            jitter.review(slots, np.array([self.held // FRAME * FRAME]), units)
        for turn in range(40):
            if self.held >= FRAME:
                break
            self._step(slots, units, may_stretch=turn == 0)
        self.held = max(self.held - FRAME, 0)
        self.sessions.poll(self.now)
        self.now += 0.02

    def run(self, arrivals) -> None:
        """Hear everything of [(seconds since the beginning, datagram)], and 300 ms more."""
        waiting = sorted(arrivals, key=lambda arrival: arrival[0])
        end = waiting[-1][0] + 0.3 if waiting else 0.3
        position = 0
        while self.now - self.began < end:
            due = position
            while due < len(waiting) and waiting[due][0] <= self.now - self.began + 1e-9:
                due += 1
            if due > position:
                self.receive(*(datagram for _, datagram in waiting[position:due]))
            position = due
            self.tick()

    def count(self, what: str) -> int:
        return sum(1 for _, done, _ in self.steps if done == what)

    def _step(self, slots, units, *, may_stretch) -> None:
        jitter = self.sessions.jitter
        due = jitter.pop(slots, units)
        what = NAMES[int(due.action[0])]
        index = -1
        if what == "play":
            index = int.from_bytes(jitter.payloads(due.place, 4)[0].tobytes())
            self.played.append(index)
            if may_stretch:
                self._stretch(jitter)
        elif self.played:
            self.synthetic += int(due.duration[0])
        self.steps.append(((self.now - self.began) * 1000, what, index))
        self.held += int(due.duration[0])

    def _stretch(self, jitter) -> None:
        """Take out of the packet what is too much, or put in what is missing, half of it at most."""
        change = max(-FRAME // 2, min(FRAME // 2, int(jitter.excess[self.slot])))
        self.held -= change
        jitter.excess[self.slot] -= change


def stream(count, *, sequence=1, timestamp=0, ptime_ms=20, start=0.0, first=0, step=None, **options):
    """Return [(seconds, datagram)] of a well-behaved sender."""
    clock = 48 if options.get("payload_type") == 111 else 8
    step = clock * ptime_ms if step is None else step
    return [
        (
            start + index * ptime_ms / 1000,
            packet(sequence + index, timestamp + index * step, numbered(first + index, ptime_ms), **options),
        )
        for index in range(count)
    ]
