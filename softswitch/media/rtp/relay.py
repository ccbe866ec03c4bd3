"""Begins and ends relays: packets are forwarded as they come, converted where codecs differ."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import numpy as np

from softswitch.audio import g711
from softswitch.audio.pcm import Bytes, Indices, fade
from softswitch.media.messages import RtpParameters
from softswitch.media.rtp.formats import CODECS, Formats, kinds_by_type
from softswitch.media.rtp.receive import RtpReceiver
from softswitch.media.rtp.send import RtpEncoder
from softswitch.media.rtp.transcode import ROUGH, Transcoder
from softswitch.rtp.packet import HEADER, UNITS, Packets
from softswitch.rtp.relay import Events
from softswitch.rtp.session import Sessions

_SEAM = fade(32, rising=False)
"""Gain of the step between mixed and relayed audio, falling to 0 within 4 ms (32 samples at 8 kHz)."""

_WARMED = 3
"""Most packets, already played, that are converted unsent when a relay begins."""

_SHORTEST = 16
"""Octets of the shortest payload of audio that is smoothed; telephone events have 4."""

_REBASE_TICKS = 100
"""Ticks (2 s) between two updates of the base transit of undecoded sources."""


class RtpRelay:
    """The relays of a plane; they begin and end without a gap in what remote parties hear."""

    def __init__(
        self, formats: Formats, sessions: Sessions, receiver: RtpReceiver, encoder: RtpEncoder
    ) -> None:
        """Use the components of a plane."""
        self._formats, self._sessions, self._relays = formats, sessions, sessions.relays
        self.transcoder = self._relays.converter = Transcoder(formats)
        self._receiver, self._encoder = receiver, encoder
        self._kinds: dict[int, frozenset[int]] = {}
        """Kinds of codec that each slot may receive."""
        self._targets: dict[int, int] = {}
        self._source_of: dict[int, int] = {}
        self._silent: set[int] = set()
        """Sources that are not decoded."""
        self._first: dict[int, float] = {}
        """Last mixed sample by target slot, until a first packet was relayed to it."""
        self._flushed: list[Packets] = []
        self._unfit: set[int] = set()
        self._ticks = 0

    def __len__(self) -> int:
        """Number of relayed slots."""
        return len(self._targets)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self.transcoder.grow(slots)

    def set_formats(self, slot: int, parameters: RtpParameters) -> None:
        """Set the negotiated parameters of a slot that is not relayed."""
        self.transcoder.set_format(slot, self._encoder.ptime(slot), self._formats.opus.rate(parameters))
        self._kinds[slot] = frozenset(kinds_by_type(parameters.receive).values())
        self._unfit.discard(slot)

    def forget(self, slot: int, now: float) -> None:
        """End the relays from and to a slot that closes or changes its formats."""
        if slot in self._targets:
            self._end(slot, now)
        if slot in self._source_of:
            self._end(self._source_of[slot], now)
        self.transcoder.close(slot)
        self._kinds.pop(slot, None)
        self._unfit.discard(slot)

    def suits(self, source: int, target: int) -> bool:
        """Return True if `target` can be sent the packets of `source`.

        Telephone events that the target does not know are no obstacle: :meth:`Relays.crosses` tells whose
        digits have to be sent as tones.
        """
        if source in self._unfit:
            return False
        other, kinds = self._encoder.kind(target), self._kinds[source]
        return other in kinds or any(Transcoder.converts(kind, other) for kind in kinds)

    def arrange(self, targets: Mapping[int, int], silent: AbstractSet[int], now: float) -> None:
        """Begin and end relays so that exactly those in `targets` exist.

        Args:
            targets: target slot by source slot, one to one.
            silent: source slots that are not decoded.
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
        """Return the packets to be sent since the last call."""
        packets = self._relays.take_packets()
        if self._first:
            for rows, lengths, targets in packets:
                self._join(rows, lengths, targets)
        if self._flushed:
            flushed, self._flushed = self._flushed, []
            return flushed + packets
        return packets

    def take_unfit(self) -> bool:
        """Return True if a source became unfit for relaying since the last call."""
        if not self._relays.unfit:
            return False
        self._unfit |= self._relays.unfit
        self._relays.unfit.clear()
        return True

    def follow_clocks(self, now: float) -> None:
        """Update the expected arrivals of undecoded sources, whose clocks drift; once per tick."""
        self._ticks += 1
        if self._silent and self._ticks % _REBASE_TICKS == 0:
            self._sessions.jitter.rebase(np.array(sorted(self._silent), np.intp), int(now * UNITS))

    def _begin(self, source: int, target: int, now: float) -> None:
        kind, events = self._encoder.kind(target), self._encoder.events(target)
        name = CODECS[kind].name
        self._flushed += self._encoder.flush(target)
        self._targets[source], self._source_of[target] = target, source
        self.transcoder.begin(source, target, 0.0 if name in g711.DECODING else self._encoder.last(target))
        self._warm_up(source, target, kind)
        if name in g711.DECODING:
            self._first[target] = self._encoder.last(target)
            self.transcoder.rough[target] = ROUGH
        self._relays.begin(
            source,
            target,
            kind=kind,
            clock_rate=CODECS[kind].clock_rate,
            events=Events(*events) if events is not None else None,
            now=int(now * UNITS),
        )

    def _warm_up(self, source: int, target: int, kind: int) -> None:
        """Convert the last packets that were mixed, unsent: decoder and filter then know the sound."""
        if self._sessions.sources.heard(source) < 0:
            return
        next_, _ = self._sessions.jitter.playing_position(source)
        played, _ = self._sessions.jitter.kept(source, next_ - _WARMED)
        wanted = (played.extended < next_) & (played.kinds != kind)
        wanted &= self.transcoder.suits(played.kinds, np.full_like(played.kinds, kind), played.durations)
        for row in np.flatnonzero(wanted).tolist():
            self.transcoder.warm_up(played.chosen(np.array([row])), target, kind)

    def _join(self, rows: Bytes, lengths: Indices, targets: Indices) -> None:
        """Smooth the step between the last mixed and the first relayed sample of G.711.

        The difference of the two samples is added to the first 4 ms with a gain that falls to 0. Codecs with
        state (G.722, Opus) smooth the step themselves.
        """
        for row, target in enumerate(targets.tolist()):
            if lengths[row] < HEADER + _SHORTEST:
                continue
            last = self._first.pop(target, None)
            if last is not None:
                self.transcoder.rough[target] = 0
                name = CODECS[self._encoder.kind(target)].name
                payload = rows[row, HEADER : int(lengths[row])][: len(_SEAM)]
                pcm = g711.decode(g711.DECODING[name], payload)
                pcm += (last - pcm[0]) * _SEAM[: len(pcm)]
                payload[:] = g711.encode(g711.ENCODING[name], pcm)

    def _end(self, source: int, now: float) -> None:
        target = self._targets.pop(source)
        del self._source_of[target]
        self._silent.discard(source)
        units = int(now * UNITS)
        self._relays.end(source, units)
        self._first.pop(target, None)
        converted = self.transcoder.end(source, target)
        pcm, last = self._receiver.resume(source, units)
        if converted is None:
            self._encoder.lead_in(target, pcm, last)
        else:
            self._encoder.lead_in(target, pcm, converted, has_encoded=True)

    def _silence(self, source: int, silent: bool, now: float) -> None:
        if silent:
            self._silent.add(source)
            self._receiver.suspend(source, self._expected(source))
        else:
            self._silent.discard(source)
            self._receiver.resume(source, int(now * UNITS))

    def _expected(self, source: int) -> int:
        """Return the kind of packets that a source sends, as far as that is known."""
        played, taken = self._receiver.kind(source), self._encoder.kind(self._targets[source])
        if played in self._kinds[source]:
            return played
        return taken if taken in self._kinds[source] else min(self._kinds[source])
