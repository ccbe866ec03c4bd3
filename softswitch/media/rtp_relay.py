"""Ports that are relayed: packets go from one to the other as they came, and are decoded only on demand."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import numpy as np

from softswitch.audio import g711
from softswitch.audio.pcm import Bytes, Indices, fade
from softswitch.media.messages import RtpParameters
from softswitch.media.rtp_formats import CODECS, event_clocks, kinds_by_type
from softswitch.media.rtp_receive import RtpReceiver
from softswitch.media.rtp_send import Packets, RtpEncoder
from softswitch.rtp.packet import HEADER, UNITS
from softswitch.rtp.relay import Events
from softswitch.rtp.session import Sessions

_SEAM = fade(32, rising=False)
"""What is left of the step from mixed to relayed sound, for 4 ms at 8 kHz."""

_REBASE_TICKS = 100
"""Ticks from one look at the clocks of relayed sources to the next."""


class RtpRelay:
    """Begins and ends the relays of a plane, without a gap in what far ends hear."""

    def __init__(self, sessions: Sessions, receiver: RtpReceiver, encoder: RtpEncoder) -> None:
        """Relay between the slots of a plane."""
        self._sessions, self._relays = sessions, sessions.relays
        self._receiver, self._encoder = receiver, encoder
        self._parameters: dict[int, RtpParameters] = {}
        self._targets: dict[int, int] = {}
        self._silent: set[int] = set()
        """Sources that are not decoded."""
        self._first: dict[int, float] = {}
        """The last mixed sample by target, until the first packet was relayed to it."""
        self._flushed: list[Packets] = []
        self._unfit: set[int] = set()
        self._ticks = 0

    def __len__(self) -> int:
        """Return how many slots are relayed."""
        return len(self._targets)

    def set_formats(self, slot: int, parameters: RtpParameters) -> None:
        """Note what was negotiated for a slot that is not relayed."""
        self._parameters[slot] = parameters
        self._unfit.discard(slot)

    def forget(self, slot: int, now: float) -> None:
        """End what goes from and to a slot: it closes, or goes over to other formats."""
        for source in [source for source, target in self._targets.items() if slot in (source, target)]:
            self._end(source, now)
        self._parameters.pop(slot, None)
        self._unfit.discard(slot)

    def suits(self, source: int, target: int) -> bool:
        """Tell whether what one far end sends is what the other wants, keys included."""
        if source in self._unfit:
            return False
        receives, sends = self._parameters[source].receive, self._encoder.kind(target)
        if sends not in kinds_by_type(receives).values():
            return False
        return not event_clocks(receives) or self._encoder.events(target) is not None

    def arrange(self, targets: Mapping[int, int], silent: AbstractSet[int], now: float) -> None:
        """Relay as is said from now on.

        Args:
            targets: the slot that sends, by the slot that receives; one to one.
            silent: those that receive and need not be decoded.
            now: monotonic seconds.
        """
        for source, target in list(self._targets.items()):
            if targets.get(source) != target:
                self._end(source, now)
        for source, target in targets.items():
            if source not in self._targets:
                self._begin(source, target, now)
            if (source in silent) != (source in self._silent):
                self._silence(source, source in silent, now)

    def take_packets(self) -> list[Packets]:
        """Return what is to be sent since the last call."""
        packets = self._relays.take_packets()
        if self._first:
            for rows, lengths, targets in packets:
                self._join(rows, lengths, targets)
        if self._flushed:
            flushed, self._flushed = self._flushed, []
            return flushed + packets
        return packets

    def take_unfit(self) -> bool:
        """Tell whether a source has shown since the last call that it cannot be relayed."""
        if not self._relays.unfit:
            return False
        self._unfit |= self._relays.unfit
        self._relays.unfit.clear()
        return True

    def follow_clocks(self, now: float) -> None:
        """Let the expected arrivals of undecoded sources follow their clocks; once per tick."""
        self._ticks += 1
        if self._silent and self._ticks % _REBASE_TICKS == 0:
            self._sessions.jitter.rebase(np.array(sorted(self._silent), np.intp), int(now * UNITS))

    def _begin(self, source: int, target: int, now: float) -> None:
        kind, events = self._encoder.kind(target), self._encoder.events(target)
        self._flushed += self._encoder.flush(target)
        self._targets[source] = target
        if CODECS[kind].name in g711.DECODING:
            self._first[target] = self._encoder.last(target)
        self._relays.begin(
            source,
            target,
            kind,
            CODECS[kind].clock_rate,
            Events(*events) if events is not None else None,
            int(now * UNITS),
        )

    def _join(self, rows: Bytes, lengths: Indices, targets: Indices) -> None:
        """Let the step between mixed and relayed sound fade, where the codec has no state that does so."""
        for row, target in enumerate(targets.tolist()):
            last = self._first.pop(target, None)
            if last is not None:
                name = CODECS[self._encoder.kind(target)].name
                payload = rows[row, HEADER : int(lengths[row])][: len(_SEAM)]
                pcm = g711.decode(g711.DECODING[name], payload)
                pcm += (last - pcm[0]) * _SEAM[: len(pcm)]
                payload[:] = g711.encode(g711.ENCODING[name], pcm)

    def _end(self, source: int, now: float) -> None:
        target = self._targets.pop(source)
        self._silent.discard(source)
        units = int(now * UNITS)
        self._relays.end(source, units)
        self._first.pop(target, None)
        self._encoder.lead_in(target, *self._receiver.resume(source, units))

    def _silence(self, source: int, silent: bool, now: float) -> None:
        if silent:
            self._silent.add(source)
            self._receiver.rest(source, self._encoder.kind(self._targets[source]))
        else:
            self._silent.discard(source)
            self._receiver.resume(source, int(now * UNITS))
