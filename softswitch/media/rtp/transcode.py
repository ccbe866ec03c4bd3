"""Conversion of relayed packets whose codec the target does not take: decoded and encoded as they arrive.

There is neither a jitter buffer nor the bus in between. The decoders belong to the conversion alone, since
those of the mix may decode the same packets for a listener; Opus is decoded at the rate of the other codec.
The encoders are those of the mix, so that remote parties hear one stream without a break in its state.

Losses are passed on as gaps of the sequence numbers, which the remote party conceals. Opus repeats a lost
packet in the one after it (in-band FEC): that is decoded, and sent just before the packet it came with.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from softswitch.audio import libopus
from softswitch.audio.bank import Bank, bank_for
from softswitch.audio.codec import OPUS
from softswitch.audio.opus import OpusBank
from softswitch.audio.pcm import Indices, Pcm, fade
from softswitch.audio.resample import Resampler
from softswitch.media.rtp.formats import CODECS, Formats
from softswitch.rtp.packet import UNITS, UNITS_PER_MS, Bytes, Ints, Mask
from softswitch.rtp.relay import Conversion
from softswitch.rtp.timeline import Arrivals

_GRID = 10 * UNITS_PER_MS
"""Durations of converted packets are multiples of this (10 ms): others go through the bus."""

_LONGEST = 120 * UNITS_PER_MS

_OPUS_MS = (60, 40, 20, 10)
"""Durations of Opus packets of one frame, milliseconds (RFC 6716 section 2.1.4)."""

_REPAIRED = 3
"""Most packets of a gap that a decoder makes up for before it decodes the packet behind the gap."""

_BITRATES = {8000: 20000, 16000: 32000}
"""Most bits per second of Opus by the sample rate of the source, its redundancy (FEC) included."""

_SEAM_MS = 4
"""Time in which the step between mixed and converted audio fades, milliseconds."""

ROUGH, ROUGH_CONVERTED = 1, 2
"""The next packet of a target has to be smoothed: whatever it is, or if it is converted."""

_UNSET = -1
_OPUS = CODECS.index(OPUS)


class Transcoder:
    """Decoders of source slots, made when first used; they feed the encoders of target slots."""

    def __init__(self, formats: Formats) -> None:
        """Encode with the codecs of `formats`."""
        self._formats = formats
        self._slots = 0
        self._decoders: dict[tuple[int, int], Bank] = {}
        """Banks by kind and sample rate."""
        self._resamplers: dict[tuple[int, int], Resampler] = {}
        """By rates in and out; slots are those of sources."""
        self._kind = np.zeros(0, np.int64)
        """Kind of the packets that each source slot sent last; _UNSET: its decoder has to be prepared."""
        self._ptime = np.zeros(0, np.int64)
        """Duration of packets that each target asked for, milliseconds."""
        self._bitrate = np.zeros(0, np.int64)
        """Bits per second that each target asked for."""
        self.last = np.zeros(0, np.float32)
        """Last sample encoded for each target; growing replaces the array."""
        self.rough = np.zeros(0, np.uint8)
        """:data:`ROUGH` or :data:`ROUGH_CONVERTED` for targets whose next packet is to be smoothed, else 0;
        growing replaces the array."""
        self.revision = 0
        """Grows whenever a decoder bank or a resampler is made, or all of them grow."""
        self._seams: dict[int, float] = {}
        """Last sample that was mixed, by target, until the first one is converted."""
        self._limited: set[int] = set()
        """Targets whose encoder is limited to the band of their source."""
        self._splits: dict[tuple[int, int, int], tuple[int, ...]] = {}
        self.total = self.recovered_total = 0
        """Packets converted, and packets recovered from the redundancy in their successor."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - self._slots
        if more <= 0:
            return
        self._slots = slots
        self.revision += 1
        self._kind = np.pad(self._kind, (0, more), constant_values=_UNSET)
        self._ptime = np.pad(self._ptime, (0, more), constant_values=20)
        self._bitrate = np.pad(self._bitrate, (0, more))
        self.last = np.pad(self.last, (0, more))
        self.rough = np.pad(self.rough, (0, more))
        for bank in self._decoders.values():
            bank.grow(slots)
        for resampler in self._resamplers.values():
            resampler.grow(slots)

    def set_format(self, slot: int, ptime_ms: int, bitrate: int) -> None:
        """Set what a target asked for.

        Args:
            slot: row.
            ptime_ms: duration of packets, milliseconds.
            bitrate: bits per second of Opus.
        """
        self._ptime[slot], self._bitrate[slot] = ptime_ms, bitrate

    def begin(self, source: int, target: int, last: float) -> None:
        """Prepare a relay: decoder and resampler begin anew with its first packet.

        Args:
            source: slot that receives.
            target: slot that sends.
            last: last sample that was mixed for `target`; 0 if unknown.
        """
        self._kind[source] = _UNSET
        if last:
            self._seams[target] = last
            self.rough[target] = ROUGH_CONVERTED

    def end(self, source: int, target: int) -> float | None:
        """End a relay; return the last sample encoded for its target, None if nothing was converted."""
        kind, self._kind[source] = int(self._kind[source]), _UNSET
        self._seams.pop(target, None)
        self.rough[target] = 0
        if target in self._limited:
            self._limited.discard(target)
            rate = CODECS[_OPUS].sample_rate
            self._formats.bank(_OPUS).tune(target, band_hz=rate, bitrate=int(self._bitrate[target]))
        return None if kind == _UNSET else float(self.last[target])

    def close(self, slot: int) -> None:
        """Free the state of `slot`."""
        self._kind[slot] = _UNSET
        self._seams.pop(slot, None)
        self.rough[slot] = 0
        self._limited.discard(slot)
        for bank in self._decoders.values():
            bank.close(slot)

    def faults(self) -> int:
        """Return the number of payloads that could not be decoded."""
        return sum(bank.faults for bank in self._decoders.values())

    @staticmethod
    def converts(kind: int, other: int) -> bool:
        """Return True if packets of `kind` can be converted to packets of the kind `other`."""
        return _OPUS not in {kind, other} or libopus.library() is not None

    def suits(self, kinds: Ints, others: Ints, durations: Ints) -> Mask:
        """Return which packets can be converted.

        Args:
            kinds: kind of each packet.
            others: kind of codec of its target.
            durations: units of each.
        """
        able: Mask = (durations % _GRID == 0) & (durations <= _LONGEST) & (kinds >= 0) & (others >= 0)
        if libopus.library() is None:
            able &= (kinds != _OPUS) & (others != _OPUS)
        return able

    def warm_up(self, packets: Arrivals, target: int, other: int) -> None:
        """Decode packets that will not be sent, so that decoder and filter of their source know the sound."""
        slots, kind = packets.slots, int(packets.kinds[0])
        rate_in, rate_out = _rates(kind, other)
        if np.count_nonzero(self._kind[slots] != kind):
            self._prepare(slots, np.array([target]), kind, other)
        payloads = np.empty((len(slots), int(packets.lengths.max())), np.uint8)
        packets.copy_payloads(payloads)
        pcm = self._decoder(kind, rate_in).decode(payloads, packets.lengths, slots)[0]
        sound = self._resampled(
            _exactly(pcm, int(packets.durations[0]) * rate_in // UNITS), slots, rate_in, rate_out
        )
        self.last[target] = sound[0, -1]

    def tables(self) -> dict[str, Ints]:
        """Return the arrays of all slots by name, for compiled code; growing replaces them."""
        return {"prepared": self._kind, "ptimes": self._ptime}

    def decoder(self, kind: int, other: int) -> Bank:
        """Return the decoders of packets of `kind` for targets that take `other`."""
        return self._decoder(kind, _rates(kind, other)[0])

    def known(self, kind: int, rate: int) -> Bank | None:
        """Return the decoders of a kind at a sample rate if they have been used."""
        return self._decoders.get((kind, rate))

    def between(self, rate_in: int, rate_out: int) -> Resampler | None:
        """Return the resampler between two rates if it has been used."""
        return self._resamplers.get((rate_in, rate_out))

    def resample_ordinary(self, kind: int, other: int, pcm: Pcm, slots: Indices, targets: Indices) -> Pcm:
        """Return what is to be encoded of decoded packets of 20 ms, before which nothing was lost.

        Args:
            kind: kind of the packets.
            other: kind that the targets take.
            pcm: their sound by :meth:`decoder`, ``(n, samples)``.
            slots: source of each, prepared for `kind`, at most once, ``(n,)``.
            targets: target of each, which asked for packets of at least 20 ms; at most once, ``(n,)``.
        """
        rate_in, rate_out = _rates(kind, other)
        self.total += len(slots)
        pcm = self._resampled(_exactly(pcm, rate_in // 50), slots, rate_in, rate_out)
        if self._seams:
            pcm = self._seamless(pcm, targets, rate_out)
        self.last[targets] = pcm[:, -1]
        return pcm

    def convert(
        self, packets: Arrivals, targets: Indices, kinds: Ints, missing: Ints
    ) -> Iterator[Conversion]:
        """Convert packets, those of the same kinds and duration together.

        Args:
            packets: each slot at most once, in the order of its sequence numbers.
            targets: target slot of each, at most once.
            kinds: kind of codec that each target takes.
            missing: packets lost between each packet and the one before it.

        Returns:
            The packets made of them; where one packet becomes several, the parts follow each other.
        """
        groups = (packets.kinds * len(CODECS) + kinds) * (2 * _LONGEST) + packets.durations
        first = int(groups[0])
        alone = not np.count_nonzero(groups != first)
        for group in [first] if alone else sorted(set(groups.tolist())):
            rows = np.arange(len(groups)) if alone else np.flatnonzero(groups == group)
            some = packets if alone else packets.chosen(rows)
            kind, other = divmod(group // (2 * _LONGEST), len(CODECS))
            for made in self._convert(some, targets[rows], kind, other, missing[rows]):
                yield replace(made, rows=rows[made.rows])

    def _convert(
        self, packets: Arrivals, targets: Indices, kind: int, other: int, missing: Ints
    ) -> Iterator[Conversion]:
        """Convert packets of one kind and duration for targets of one kind."""
        slots, duration = packets.slots, int(packets.durations[0])
        rate_in, rate_out = _rates(kind, other)
        if np.count_nonzero(self._kind[slots] != kind):
            self._prepare(slots, targets, kind, other)
        decoder = self._decoder(kind, rate_in)
        payloads = np.empty((len(slots), int(packets.lengths.max())), np.uint8)
        packets.copy_payloads(payloads)
        if np.count_nonzero(missing):
            rows = np.flatnonzero(missing)
            yield from self._bridge(decoder, payloads, packets, targets, rows, missing=missing, other=other)
        samples = duration * rate_in // UNITS
        pcm = _exactly(decoder.decode(payloads, packets.lengths, slots)[0], samples)
        self.total += len(slots)
        every = np.arange(len(slots))
        yield from self._encode(
            self._resampled(pcm, slots, rate_in, rate_out), every, targets, other, duration
        )

    def _bridge(
        self,
        decoder: Bank,
        payloads: Bytes,
        packets: Arrivals,
        targets: Indices,
        rows: Indices,
        *,
        missing: Ints,
        other: int,
    ) -> Iterator[Conversion]:
        """Make up for lost packets before some packets, so that decoders and encoders stay in time.

        The last lost one is sent where Opus repeats it. Else an Opus encoder still gets its concealment:
        the redundancy that it puts into the next packet stands for the lost one at the remote party.
        """
        kind, duration = int(packets.kinds[0]), int(packets.durations[0])
        rate_in, rate_out = _rates(kind, other)
        samples = duration * rate_in // UNITS
        slots = packets.slots[rows]
        for ahead in range(_REPAIRED - 1, 0, -1):
            earlier = slots[missing[rows] > ahead]
            if len(earlier) and _OPUS in {kind, other}:
                decoder.conceal(earlier, samples)
        if kind == _OPUS:
            pcm = decoder.recover(payloads[rows], packets.lengths[rows], slots, samples)
            self.recovered_total += len(rows)
        elif other == _OPUS:
            pcm = decoder.recover(payloads[rows], packets.lengths[rows], slots, samples)
        else:
            return
        sound = self._resampled(_exactly(pcm, samples), slots, rate_in, rate_out)
        for made in self._encode(sound, rows, targets[rows], other, duration):
            if kind == _OPUS:
                yield replace(made, part=made.part - made.parts, begin=made.begin - duration)

    def _encode(
        self, pcm: Pcm, rows: Indices, targets: Indices, other: int, duration: int
    ) -> Iterator[Conversion]:
        """Encode audio of one duration as packets of the durations that the targets ask for."""
        if self._seams:
            pcm = self._seamless(pcm, targets, CODECS[other].sample_rate)
        ptimes = self._ptime[targets]
        first = int(ptimes[0])
        alone = not np.count_nonzero(ptimes != first)
        for ptime in [first] if alone else sorted(set(ptimes.tolist())):
            chosen = np.arange(len(rows)) if alone else np.flatnonzero(ptimes == ptime)
            sound, to = (pcm, targets) if alone else (pcm[chosen], targets[chosen])
            parts = self._split(other, duration // UNITS_PER_MS, ptime)
            yield from self._encode_parts(sound, rows[chosen], to, other, parts)

    def _encode_parts(
        self, pcm: Pcm, rows: Indices, targets: Indices, other: int, parts: tuple[int, ...]
    ) -> Iterator[Conversion]:
        total = sum(parts)
        per_ms = pcm.shape[1] // total
        encoder = self._formats.bank(other)
        self.last[targets] = pcm[:, -1]
        coded: Bytes | None = None
        if other != _OPUS:
            # Streams of 8 octets a millisecond, which may be cut into packets anywhere.
            coded = encoder.encode(pcm, targets)[0]
        begin = 0
        for part, length in enumerate(parts):
            if coded is None:
                sound = pcm[:, begin * per_ms : (begin + length) * per_ms]
                payloads, lengths = encoder.encode(sound, targets)
            else:
                payloads = coded[:, 8 * begin : 8 * (begin + length)]
                lengths = np.full(len(targets), 8 * length, np.intp)
            yield Conversion(
                rows,
                payloads,
                lengths,
                part=part,
                parts=len(parts),
                begin=begin * UNITS_PER_MS,
                duration=length * UNITS_PER_MS,
            )
            begin += length

    def _split(self, kind: int, duration_ms: int, ptime_ms: int) -> tuple[int, ...]:
        """Return the durations of the packets made of one packet, milliseconds.

        A packet is never held back to make a longer one: remote parties take shorter ones (RFC 3551 §4.2),
        and it would wait.
        """
        key = kind, duration_ms, ptime_ms
        if key not in self._splits:
            self._splits[key] = _split(kind, duration_ms, ptime_ms)
        return self._splits[key]

    def _resampled(self, pcm: Pcm, slots: Indices, rate_in: int, rate_out: int) -> Pcm:
        if rate_in == rate_out:
            return pcm
        return self._resampler(rate_in, rate_out).process(np.ascontiguousarray(pcm), slots)

    def _seamless(self, pcm: Pcm, targets: Indices, rate: int) -> Pcm:
        """Smooth the step between the last mixed and the first converted sample."""
        pcm = pcm.copy()
        seam = fade(rate * _SEAM_MS // 1000, rising=False)
        for row, target in enumerate(targets.tolist()):
            last = self._seams.pop(target, None)
            if last is not None:
                self.rough[target] = 0
                pcm[row, : len(seam)] += (last - pcm[row, 0]) * seam
        return pcm

    def _prepare(self, slots: Indices, targets: Indices, kind: int, other: int) -> None:
        """Begin anew with decoder and resampler of those that have sent another kind before."""
        rate_in, rate_out = _rates(kind, other)
        for row in np.flatnonzero(self._kind[slots] != kind).tolist():
            source, target = int(slots[row]), int(targets[row])
            self._decoder(kind, rate_in).open(source)
            if rate_in != rate_out:
                self._resampler(rate_in, rate_out).reset(source)
            if other == _OPUS:
                # More band than the source has, and more bits than that band takes, are of no use.
                self._limited.add(target)
                bitrate = min(_BITRATES[rate_in], int(self._bitrate[target]))
                self._formats.bank(_OPUS).tune(target, band_hz=rate_in, bitrate=bitrate)
            self._kind[source] = kind

    def _decoder(self, kind: int, rate: int) -> Bank:
        bank = self._decoders.get((kind, rate))
        if bank is None:
            codec = replace(CODECS[kind], sample_rate=rate)
            bank = OpusBank(codec, self._slots) if kind == _OPUS else bank_for(codec, self._slots)
            bank.grow(self._slots)
            self._decoders[kind, rate] = bank
            self.revision += 1
        return bank

    def _resampler(self, rate_in: int, rate_out: int) -> Resampler:
        resampler = self._resamplers.get((rate_in, rate_out))
        if resampler is None:
            resampler = self._resamplers[rate_in, rate_out] = Resampler(rate_in, rate_out, self._slots)
            self.revision += 1
        return resampler


def _rates(kind: int, other: int) -> tuple[int, int]:
    """Return the sample rates of decoder and encoder: Opus is decoded at the rate of the encoder."""
    rate = CODECS[other].sample_rate
    return (rate if kind == _OPUS else CODECS[kind].sample_rate), rate


def _exactly(pcm: Pcm, samples: int) -> Pcm:
    """Return rows of exactly `samples` samples: a damaged packet may have given another number."""
    if pcm.shape[1] < samples:
        return np.pad(pcm, ((0, 0), (0, samples - pcm.shape[1])))
    return pcm[:, :samples]


def _split(kind: int, duration_ms: int, ptime_ms: int) -> tuple[int, ...]:
    if kind != _OPUS:
        whole = ptime_ms >= duration_ms or duration_ms % ptime_ms
        return (duration_ms,) if whole else (ptime_ms,) * (duration_ms // ptime_ms)
    parts: list[int] = []
    while (left := duration_ms - sum(parts)) > 0:
        parts.append(max(size for size in _OPUS_MS if size <= min(left, max(ptime_ms, _OPUS_MS[-1]))))
    return tuple(parts)
