"""An engine on a machine that is simulated: time passes as ticks cost, packets come as they are due.

Nothing waits for a wall clock. `bench/stalls.py` charges what a tick really costs in CPU time; the unit tests
charge a fixed price for each line of Python, so that they say the same on every machine.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import numpy as np

from softswitch.audio.codec import G722
from softswitch.audio.g711 import ULAW_ENCODE, encode
from softswitch.audio.g722 import G722Bank
from softswitch.audio.opus import OpusBank
from softswitch.audio.pcm import Pcm
from softswitch.media import messages as m
from softswitch.media.engine.clock import PERIOD_S, Clock
from softswitch.media.engine.engine import Engine

FORMATS = {
    "mixed": m.PayloadFormat("PCMU", 0, 8000),
    "relayed": m.PayloadFormat("PCMU", 0, 8000),
    "g722": m.PayloadFormat("G722", 9, 8000),
    "opus": m.PayloadFormat("opus", 111, 48000),
}
"""What RTP legs of each kind speak; "feeds" are WebSocket legs with PCM of 16 kHz."""

KINDS = (*FORMATS, "feeds")
_SECOND = 50
_START = 1000.0
_SPREAD = 0.6180339887498949
"""Its multiples spread the phases of the senders evenly over a period."""


@dataclass(slots=True)
class Interval:
    """Number and cost of the ticks of one run."""

    ticks: int = 0
    cost: float = 0.0
    """Seconds of the simulated machine that the ticks took."""
    longest: float = 0.0


@dataclass(slots=True)
class Machine:
    """An engine with legs whose remote parties send every 20 ms, and the machine it runs on."""

    kind: str
    legs: int
    charge: Callable[[Callable[[], object]], float]
    """Carries out work and returns how many seconds it took."""
    engine: Engine = field(init=False)
    now: float = _START
    seconds: list[Interval] = field(default_factory=list)
    """Result of each :meth:`run`."""
    sent: int = 0
    """Packets and frames that the engine sent."""
    _clock: Clock = field(default_factory=Clock)
    _due: list[tuple[float, int, int]] = field(default_factory=list)
    _sounds: list[bytes] = field(default_factory=list)
    _held_until: float = 0.0

    def __post_init__(self) -> None:
        """Connect the legs, two to a call."""
        self.engine = Engine(relays=self.kind == "relayed")
        self._sounds = sounds(self.kind)
        for leg in range(1, self.legs + 1):
            if self.kind == "feeds":
                self.engine.post(m.AddFeedPort(leg, (leg + 1) // 2, "pcm", 16000))
            else:
                spoken = FORMATS[self.kind]
                rtp = m.RtpParameters((spoken,), spoken, ssrc=1000 + leg, cname=f"leg{leg}")
                self.engine.post(m.AddRtpPort(leg, (leg + 1) // 2, rtp))
                self.engine.post(m.ConnectPlain(leg, -1, "127.0.0.1", 9))
            heappush(self._due, (_START + leg * _SPREAD % 1.0 * PERIOD_S, leg, 0))
        self._clock.restart(_START)

    def run(self, seconds: float) -> Interval:
        """Let time pass; return number and cost of the ticks."""
        end, seen = self.now + seconds, Interval()
        while True:
            self.now = max(self.now, self.now + self._clock.wait_s(self.now))
            if self.now >= end:
                break
            self._bring(self.now)
            self._clock.begin(self.now)
            cost = self.charge(self._tick)
            self.now += cost
            seen.ticks += 1
            seen.cost += cost
            seen.longest = max(seen.longest, cost)
        self.seconds.append(seen)
        return seen

    def stall(self, seconds: float, *, network: bool = False) -> None:
        """Stop the process for a while; with `network` the packets of all remote parties are held up."""
        if not network:
            self.now += seconds
            return
        self._held_until = self.now + seconds

    def delay_ms(self) -> float:
        """Return the mean delay that the jitter buffers add, milliseconds."""
        plane: Any = self.engine._parts.plane  # noqa: SLF001 - a bench looks where no user does
        slots = self.engine._layout.rtp_slots.tolist()  # noqa: SLF001
        return float(np.mean([plane.statistics(slot)["delay_ms"] for slot in slots] or [0.0]))

    def _tick(self) -> None:
        output = self.engine.tick(self.now)
        self.sent += len(output.datagrams) + len(output.frames)

    def _bring(self, now: float) -> None:
        """Hand over the packets that the remote parties have sent until now."""
        while now >= self._held_until and self._due[0][0] <= now:
            at, leg, index = heappop(self._due)
            sound = self._sounds[(index + 7 * leg) % len(self._sounds)]
            if self.kind == "feeds":
                self.engine.feed(leg, sound)
            else:
                spoken = FORMATS[self.kind]
                stamp = index * (960 if spoken.name == "opus" else 160)
                header = struct.pack(">BBHII", 0x80, spoken.payload_type, index & 0xFFFF, stamp, leg)
                self.engine.deliver(leg, header + sound)
            heappush(self._due, (at + PERIOD_S, leg, index + 1))


def sounds(kind: str) -> list[bytes]:
    """Return a second of speech-like sound, 20 ms a piece, as legs of a kind send it."""
    if kind == "feeds":
        return [piece.astype("<i2").tobytes() for piece in _voice(16000)]
    if kind in {"mixed", "relayed"}:
        return [encode(ULAW_ENCODE, piece[None])[0].tobytes() for piece in _voice(8000)]
    bank = G722Bank(slots=1) if kind == "g722" else OpusBank(slots=1)
    pieces, one = [], np.zeros(1, np.intp)
    for piece in _voice(G722.sample_rate if kind == "g722" else 24000):
        payloads, lengths = bank.encode(np.ascontiguousarray(piece[None]), one)
        pieces.append(payloads[0, : int(lengths[0])].tobytes())
    return pieces


def _voice(rate: int) -> Pcm:
    time_s = np.arange(rate) / rate
    pitch = 110.0 + 20.0 * np.sin(2 * np.pi * time_s)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    harmonics = sum(np.sin(phase * k + k * k) / k for k in range(1, 20))
    pcm = 2000 * harmonics * (time_s % 0.5 < 0.4)
    voice: Pcm = pcm.astype(np.float32).reshape(_SECOND, rate // _SECOND)
    return voice
