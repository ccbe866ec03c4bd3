"""What the engine asks of things it is given."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import Bytes, Indices, Pcm
from softswitch.media.messages import Report, RtpParameters

Packets = tuple[Bytes, Indices, Indices]
"""Datagrams ``(n, octets)``, the octets of each that count, and their slots."""


class VadBank(Protocol):
    """A detector of speech for many slots."""

    rate: int
    """Sample rate it wants, Hz."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""

    def reset(self, slots: Indices) -> None:
        """Forget what `slots` sounded like."""

    def push(self, pcm: Pcm, slots: Indices) -> NDArray[np.float32]:
        """Return the probability that each row is speech, ``(n,)``, 0 to 1.

        Args:
            pcm: ``(n, samples of 20 ms)`` float32 in PCM16 units.
            slots: rows of the state, each at most once.
        """


class Denoiser(Protocol):
    """Takes the noise out of one port's sound."""

    def process(self, row: Pcm) -> Pcm:
        """Return a frame ``(480,)`` at 24 kHz without its noise; it may lag by a few."""


class Plane(Protocol):
    """Carries RTP for many slots: datagrams on one side, frames of the bus on the other."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Return what all ports together have counted since the start."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""

    def open(self, slot: int, port: int, parameters: RtpParameters, now: float) -> None:
        """Give a port its row; raise ValueError, and open nothing, where its formats are unknown."""

    def update(self, slot: int, parameters: RtpParameters, now: float) -> None:
        """Go over to what was negotiated anew."""

    def close(self, slot: int) -> dict[str, float]:
        """Free a row and return its statistics."""

    def receive(self, rows: Bytes, lengths: Indices, slots: Indices, now: float) -> None:
        """Take plain RTP and RTCP."""

    def pull(self, slots: Indices, out: Pcm, now: float) -> None:
        """Write a frame ``(n, 480)`` of what each slot says."""

    def push(self, pcm: Pcm, slots: Indices, now: float) -> Packets:
        """Take a frame ``(n, 480)`` of what each slot hears; return the packets that are due."""

    def share(self, groups: Iterable[Iterable[int]]) -> None:
        """Encode once for the slots of each group, which hear the same from now on."""

    def suits(self, source: int, target: int) -> bool:
        """Tell whether packets can go from one port to the other as they are."""

    def relay(self, targets: Mapping[int, int], silent: AbstractSet[int], now: float) -> None:
        """Forward what comes to some ports (keys of `targets`); those in `silent` are not pulled."""

    @property
    def relaying(self) -> int:
        """Return how many ports are relayed."""

    def take_changes(self) -> bool:
        """Tell whether a port has ceased to suit, or to dial, since the last call."""

    def forwarded(self) -> list[Packets]:
        """Return the packets that go on as they came."""

    def is_dialling(self, slot: int) -> bool:
        """Tell whether digits are being sent as telephone events."""

    def control(self, now: float) -> Packets:
        """Return the RTCP that is due; once per tick."""

    def goodbye(self, slot: int) -> None:
        """Have the next :meth:`control` say that the port leaves."""

    def send_digits(self, slot: int, digits: str, duration_ms: int, gap_ms: int) -> bool:
        """Send digits as telephone events; False where none were negotiated."""

    def set_held(self, slot: int, held: bool) -> None:
        """Say whether a port is on hold."""

    def set_sending(self, slot: int, sends: bool) -> None:
        """Say whether a port may send audio."""

    def take_reports(self) -> list[Report]:
        """Return what has happened since the last call."""
