"""Interfaces of the detectors, noise suppressors and RTP planes that an engine is built with."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import Bytes, Indices, Pcm
from softswitch.media.messages import Report, RtpParameters
from softswitch.rtp.packet import Packets


class VadBank(Protocol):
    """Speech detector with state for many slots."""

    rate: int
    """Sample rate that :meth:`push` expects, Hz."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""

    def reset(self, slots: Indices) -> None:
        """Clear the state of `slots`."""

    def push(self, pcm: Pcm, slots: Indices) -> NDArray[np.float32]:
        """Return the probability that each row is speech, ``(n,)``, 0 to 1.

        Args:
            pcm: ``(n, samples of 20 ms)`` float32 in PCM16 units.
            slots: rows of the state, each at most once.
        """


class Denoiser(Protocol):
    """Noise suppressor with the state of one port."""

    def process(self, row: Pcm) -> Pcm:
        """Return a frame ``(480,)`` at 24 kHz without noise; the output may lag by a few frames."""


class Plane(Protocol):
    """RTP of many slots: datagrams on one side, audio frames ``(n, 480)`` at the bus rate on the other."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Counters of all ports together since the start."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""

    def open(self, slot: int, port: int, parameters: RtpParameters, now: float) -> None:
        """Open a row for a port; raise ValueError, and open nothing, where its formats are unknown."""

    def update(self, slot: int, parameters: RtpParameters, now: float) -> None:
        """Apply newly negotiated parameters."""

    def close(self, slot: int) -> dict[str, float]:
        """Free a row and return its statistics."""

    def receive(self, rows: Bytes, lengths: Indices, slots: Indices, now: float) -> None:
        """Process received RTP and RTCP, decrypted."""

    def pull(self, slots: Indices, out: Pcm, now: float) -> None:
        """Write the next received frame of each slot into `out`, ``(n, 480)``."""

    def push(self, pcm: Pcm, slots: Indices, now: float) -> Packets:
        """Encode a frame ``(n, 480)`` for each slot; return the packets that are due."""

    def share(self, groups: Iterable[Iterable[int]]) -> None:
        """Encode once for the slots of each group, whose ports hear the same from now on."""

    def suits(self, source: int, target: int) -> bool:
        """Return True if packets from `source` can be forwarded to `target`, converted if need be."""

    def relay(self, targets: Mapping[int, int], silent: AbstractSet[int], now: float) -> None:
        """Forward packets from the keys of `targets` to their values; do not decode `silent` slots."""

    @property
    def relaying(self) -> int:
        """Number of relayed ports."""

    def take_changes(self) -> bool:
        """Return True if a relay became unsuitable, or a port finished dialling, since the last call."""

    def forwarded(self) -> list[Packets]:
        """Return the packets to be forwarded."""

    @property
    def dialling(self) -> AbstractSet[int]:
        """Slots to which digits are being sent as telephone events."""

    def control(self, now: float) -> Packets:
        """Return the RTCP packets that are due; called once per tick."""

    def goodbye(self, slot: int) -> None:
        """Make the next :meth:`control` return an RTCP BYE for the port."""

    def send_digits(self, slot: int, digits: str, duration_ms: int, gap_ms: int) -> bool:
        """Send digits as telephone events; return False where no events were negotiated."""

    def set_held(self, slot: int, held: bool) -> None:
        """Set whether a port is on hold: missing media is not reported then."""

    def set_sending(self, slot: int, sends: bool) -> None:
        """Set whether a port may send audio."""

    def take_reports(self) -> list[Report]:
        """Return the reports since the last call."""
