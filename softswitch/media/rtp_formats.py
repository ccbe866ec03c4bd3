"""The audio formats that RTP ports speak: their banks, and the way between their rates and the bus."""

from collections.abc import Iterable

import numpy as np

from softswitch.audio.bank import Bank, bank_for
from softswitch.audio.codec import G722, OPUS, PCMA, PCMU
from softswitch.audio.opus_packet import sample_counts
from softswitch.audio.pcm import BUS_RATE, Bytes, Indices, Pcm
from softswitch.audio.resample import Resampler
from softswitch.media.messages import PayloadFormat
from softswitch.rtp.packet import UNITS, Ints
from softswitch.rtp.session import Coding

CODECS = (PCMU, PCMA, G722, OPUS)
"""By kind: the number that stands for a format in arrays."""

EVENTS = "telephone-event"

_OCTET_CLOCK = 8000
"""G.711 and G.722 have 8000 octets in a second."""


def kind_of(name: str) -> int | None:
    """Return the kind of an encoding name, in any case; None for one that is no audio we know."""
    for kind, codec in enumerate(CODECS):
        if codec.name.lower() == name.lower():
            return kind
    return None


def kinds_by_type(formats: Iterable[PayloadFormat]) -> dict[int, int]:
    """Return the kinds of audio that may arrive, by payload type."""
    kinds = ((item.payload_type, kind_of(item.name)) for item in formats)
    return {payload_type: kind for payload_type, kind in kinds if kind is not None}


def event_clocks(formats: Iterable[PayloadFormat]) -> dict[int, int]:
    """Return the clock rates of telephone events that may arrive, by payload type."""
    return {item.payload_type: item.clock_rate for item in formats if item.name.lower() == EVENTS}


def codings() -> tuple[Coding, ...]:
    """Return what the sessions must know of each kind."""
    return tuple(
        Coding(codec.clock_rate, durations=_opus_units)
        if codec is OPUS
        else Coding(codec.clock_rate, UNITS // _OCTET_CLOCK)
        for codec in CODECS
    )


def _opus_units(heads: Bytes, lengths: Indices) -> Ints:
    return sample_counts(heads, lengths, UNITS).astype(np.int64)


class Formats:
    """One bank for each kind in use, and one resampler for each rate and direction."""

    def __init__(self, slots: int = 0) -> None:
        """Begin without any; they are made when first asked for."""
        self._slots = slots
        self._banks: dict[int, Bank] = {}
        self._up: dict[int, Resampler] = {}
        self._down: dict[int, Resampler] = {}

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._slots = slots
        for bank in self._banks.values():
            bank.grow(slots)
        for resampler in (*self._up.values(), *self._down.values()):
            resampler.grow(slots)

    def bank(self, kind: int) -> Bank:
        """Return the bank of a kind."""
        bank = self._banks.get(kind)
        if bank is None:
            bank = self._banks[kind] = bank_for(CODECS[kind], self._slots)
            bank.grow(self._slots)
        return bank

    def open(self, slot: int) -> None:
        """Begin with fresh state in `slot`, whatever formats it will speak."""
        for bank in self._banks.values():
            bank.open(slot)
        for resampler in (*self._up.values(), *self._down.values()):
            resampler.reset(slot)

    def close(self, slot: int) -> None:
        """Free what `slot` holds."""
        for bank in self._banks.values():
            bank.close(slot)

    def faults(self) -> int:
        """Return how many payloads no decoder would take."""
        return sum(bank.faults for bank in self._banks.values())

    def to_bus(self, kind: int, pcm: Pcm, slots: Indices, out: Pcm | None = None) -> Pcm:
        """Return decoded rows at the bus's rate, written into `out` where it is given."""
        rate = CODECS[kind].sample_rate
        if rate == BUS_RATE:
            if out is None:
                return pcm
            out[:] = pcm
            return out
        return self._resampler(self._up, rate, BUS_RATE, rate).process(pcm, slots, out)

    def from_bus(self, kind: int, pcm: Pcm, slots: Indices) -> Pcm:
        """Return rows of the bus at the rate that a kind is encoded at."""
        rate = CODECS[kind].sample_rate
        if rate == BUS_RATE:
            return pcm
        return self._resampler(self._down, BUS_RATE, rate, rate).process(pcm, slots)

    def copy_encoded(self, kind: int, source: int, slot: int) -> None:
        """Let `slot` be encoded on as if it had heard what `source` has."""
        resampler = self._down.get(CODECS[kind].sample_rate)
        if resampler is not None:
            resampler.copy(source, slot)

    def last_encoded(self, kind: int, slot: int) -> float:
        """Return about the last sample that `slot` was encoded from; 0 where that is not known."""
        resampler = self._down.get(CODECS[kind].sample_rate)
        return resampler.last(slot) if resampler is not None else 0.0

    def switch(self, kind: int, slots: Indices) -> None:
        """Prepare for `slots` going over to another kind: what its resampler remembers is long past."""
        resampler = self._up.get(CODECS[kind].sample_rate)
        if resampler is not None:
            resampler.reset(slots)

    def _resampler(self, table: dict[int, Resampler], rate_in: int, rate_out: int, rate: int) -> Resampler:
        resampler = table.get(rate)
        if resampler is None:
            resampler = table[rate] = Resampler(rate_in, rate_out, self._slots)
        return resampler
