"""The audio codecs of RTP ports: their banks, and resampling between their rates and the bus rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import gcd

import numpy as np

from softswitch.audio.bank import Bank, bank_for
from softswitch.audio.codec import G722, OPUS, PCMA, PCMU
from softswitch.audio.opus import BITRATE, COMPLEXITY, LOWEST_BITRATE
from softswitch.audio.opus_packet import sample_counts
from softswitch.audio.pcm import BUS_RATE, Bytes, Indices, Pcm
from softswitch.audio.resample import Resampler
from softswitch.media.messages import PayloadFormat, RtpParameters
from softswitch.rtp.packet import UNITS, Ints
from softswitch.rtp.session import Coding

CODECS = (PCMU, PCMA, G722, OPUS)
"""Codec by kind, the number that stands for a codec in arrays."""

EVENTS = "telephone-event"

_OCTET_CLOCK = 8000
"""Octets in a second of G.711 and G.722, both 64 kbit/s."""


@cache
def _kinds() -> dict[str, int]:
    """Return the kinds by encoding name in lower case."""
    return {codec.name.lower(): kind for kind, codec in enumerate(CODECS)}


def kind_of(name: str) -> int | None:
    """Return the kind of an encoding name, in upper or lower case; None for an unknown audio codec."""
    return _kinds().get(name.lower())


def kinds_by_type(formats: Iterable[PayloadFormat]) -> dict[int, int]:
    """Return the kinds of received audio by payload type."""
    kinds = ((item.payload_type, kind_of(item.name)) for item in formats)
    return {payload_type: kind for payload_type, kind in kinds if kind is not None}


def event_clocks(formats: Iterable[PayloadFormat]) -> dict[int, int]:
    """Return the clock rates of received telephone events by payload type."""
    return {item.payload_type: item.clock_rate for item in formats if item.name.lower() == EVENTS}


def codings() -> tuple[Coding, ...]:
    """Return the timing of each kind for :class:`softswitch.rtp.session.Sessions`."""
    return tuple(
        Coding(codec.clock_rate, durations=_opus_units)
        if codec is OPUS
        else Coding(codec.clock_rate, UNITS // _OCTET_CLOCK)
        for codec in CODECS
    )


def _opus_units(heads: Bytes, lengths: Indices) -> Ints:
    return sample_counts(heads, lengths, UNITS).astype(np.int64)


@dataclass(frozen=True, slots=True)
class OpusOptions:
    """What the settings say about Opus that is sent."""

    bitrate: int = BITRATE
    """Bits per second where neither the room nor the remote party says otherwise, 6000-128000."""
    complexity: int = COMPLEXITY
    """Effort of the encoders, 0-10."""

    def rate(self, parameters: RtpParameters) -> int:
        """Return the bits per second for a port."""
        rate = parameters.bitrate or self.bitrate
        return min(rate, max(parameters.most_bitrate, LOWEST_BITRATE)) if parameters.most_bitrate else rate


class Formats:
    """One bank for each kind in use, and one resampler for each sample rate and direction."""

    def __init__(self, slots: int = 0, opus: OpusOptions | None = None) -> None:
        """Begin without banks and resamplers; they are made when first used."""
        self._slots = slots
        self.opus = opus or OpusOptions()
        self._banks: dict[int, Bank] = {}
        self._up: dict[int, Resampler] = {}
        self._down: dict[int, Resampler] = {}
        self.revision = 0
        """Grows whenever a bank or resampler is made, or all of them grow."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._slots = slots
        self.revision += 1
        for bank in self._banks.values():
            bank.grow(slots)
        for resampler in (*self._up.values(), *self._down.values()):
            resampler.grow(slots)

    def bank(self, kind: int) -> Bank:
        """Return the bank of a kind."""
        bank = self._banks.get(kind)
        if bank is None:
            bank = bank_for(CODECS[kind], self._slots, complexity=self.opus.complexity)
            self._banks[kind] = bank
            bank.grow(self._slots)
            self.revision += 1
        return bank

    def known(self, kind: int) -> Bank | None:
        """Return the bank of a kind if it has been used."""
        return self._banks.get(kind)

    def between(self, rate: int) -> tuple[Resampler | None, Resampler | None]:
        """Return the resamplers from a sample rate to that of the bus and back, as far as they are used."""
        return self._up.get(rate), self._down.get(rate)

    def down(self, rate: int) -> Resampler:
        """Return the resampler from the bus to a lower sample rate."""
        return self._resampler(self._down, BUS_RATE, rate, rate)

    def open(self, slot: int) -> None:
        """Clear the state of `slot` in all banks and resamplers."""
        for bank in self._banks.values():
            bank.open(slot)
        for resampler in (*self._up.values(), *self._down.values()):
            resampler.reset(slot)

    def close(self, slot: int) -> None:
        """Free the encoders and decoders of `slot`."""
        for bank in self._banks.values():
            bank.close(slot)

    def faults(self) -> int:
        """Return the number of payloads that could not be decoded."""
        return sum(bank.faults for bank in self._banks.values())

    @staticmethod
    def whole(kind: int, samples: int) -> int:
        """Return the fewest samples of a kind that make whole ones at the bus rate, at least `samples`."""
        rate = CODECS[kind].sample_rate
        step = BUS_RATE // gcd(rate, BUS_RATE)
        return -(-samples // step) * (rate // gcd(rate, BUS_RATE))

    def to_bus(self, kind: int, pcm: Pcm, slots: Indices, out: Pcm | None = None) -> Pcm:
        """Return decoded rows at the bus rate, written into `out` if given."""
        rate = CODECS[kind].sample_rate
        if rate == BUS_RATE:
            if out is None:
                return pcm
            out[:] = pcm
            return out
        return self._resampler(self._up, rate, BUS_RATE, rate).process(pcm, slots, out)

    def from_bus(self, kind: int, pcm: Pcm, slots: Indices) -> Pcm:
        """Return rows of the bus at the sample rate of a kind's encoder."""
        rate = CODECS[kind].sample_rate
        if rate == BUS_RATE:
            return pcm
        return self.down(rate).process(pcm, slots)

    def copy_encoded(self, kind: int, source: int, slot: int) -> None:
        """Copy the resampling state before the encoder from `source` to `slot`."""
        resampler = self._down.get(CODECS[kind].sample_rate)
        if resampler is not None:
            resampler.copy(source, slot)

    def switch(self, kind: int, slots: Indices) -> None:
        """Prepare `slots` to be decoded as another kind: clear the old samples in its resampler."""
        resampler = self._up.get(CODECS[kind].sample_rate)
        if resampler is not None:
            resampler.reset(slots)

    def _resampler(self, table: dict[int, Resampler], rate_in: int, rate_out: int, rate: int) -> Resampler:
        resampler = table.get(rate)
        if resampler is None:
            resampler = table[rate] = Resampler(rate_in, rate_out, self._slots)
            self.revision += 1
        return resampler
