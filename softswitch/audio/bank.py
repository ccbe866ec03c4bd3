"""Codec banks: a bank encodes and decodes all legs that use one codec; the engine has one bank per codec."""

from typing import Protocol

import numpy as np

from softswitch.audio import g711, libopus
from softswitch.audio.codec import Codec
from softswitch.audio.conceal import LEAST_FUTURE_MS, Concealer, by_length
from softswitch.audio.g722 import G722Bank
from softswitch.audio.opus import COMPLEXITY, OpusBank
from softswitch.audio.pcm import TICK_MS, Bytes, Indices, Pcm, to_octets

_LONGEST_MS = 120
"""Longest payload decoded; the rest of a longer one is cut, because it would widen the rows of all legs."""


class Bank(Protocol):
    """Interface of a codec for many slots. Rows of all arrays belong to `slots`, which are distinct."""

    codec: Codec
    sample_rate: int
    """Rate of the linear audio, Hz."""
    silence: bytes
    """A payload of 20 ms of silence."""
    faults: int
    """Payloads that could not be decoded completely and were concealed."""

    def open(self, slot: int) -> None:
        """Clear the state of `slot`."""

    def close(self, slot: int) -> None:
        """Free the state of `slot`; a closed slot may be closed again."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1; open slots keep their state."""

    def decode(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices]:
        """Decode payloads ``(n, octets)`` of `lengths`: audio ``(n, samples)`` and the samples of each row.

        Rows shorter than the longest are padded with zeros. It never raises for received data: a
        payload that cannot be decoded becomes 20 ms of concealment and one more in `faults`.
        """

    def conceal(self, slots: Indices, samples: int) -> Pcm:
        """Return concealment ``(n, samples)`` for lost packets."""

    def recover(self, payloads: Bytes, lengths: Indices, slots: Indices, samples: int) -> Pcm:
        """Return audio ``(n, samples)`` of lost packets from the payloads *after* them, or concealment."""

    def encode(self, pcm: Pcm, slots: Indices) -> tuple[Bytes, Indices]:
        """Encode rows ``(n, samples)``: payloads ``(n, octets)`` and the octets of each that count."""

    def tune(
        self,
        slot: int,
        *,
        bitrate: int | None = None,
        loss_percent: int | None = None,
        band_hz: int | None = None,
    ) -> None:
        """Set bits per second, expected loss and sample rate of the source of an encoder, where it has these.

        Args:
            slot: row.
            bitrate: bits per second.
            loss_percent: expected packet loss; 0: the network is clean, redundancy is not worth its cost.
            band_hz: sample rate of the source, Hz: the encoder sends at most the band that it has.
        """


class LinearBank:
    """A bank of a codec without state, G.711 or L16, with pitch-repeat concealment."""

    def __init__(self, codec: Codec, slots: int = 0) -> None:
        """Make a bank of `codec`, ``PCMU``, ``PCMA`` or ``L16``, with `slots` rows to begin with."""
        self.codec = codec
        self.sample_rate = codec.sample_rate
        self.faults = 0
        self._law = codec.name if codec.name in g711.DECODING else None
        self._octets_per_sample = 1 if self._law else 2
        self.concealer = Concealer(codec.sample_rate, slots)
        """Recent sound of the slots."""
        self._tick = codec.samples(TICK_MS)
        self._longest = codec.samples(_LONGEST_MS)
        self.silence = bytes([g711.SILENCE[self._law] if self._law else 0]) * (
            self._tick * self._octets_per_sample
        )

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self.concealer.grow(slots)

    def open(self, slot: int) -> None:
        """Begin with fresh state in `slot`."""
        self.concealer.reset(slot)

    def close(self, slot: int) -> None:
        """Clear the sound of `slot`."""
        self.concealer.reset(slot)

    def tune(
        self,
        slot: int,
        *,
        bitrate: int | None = None,
        loss_percent: int | None = None,
        band_hz: int | None = None,
    ) -> None:
        """Do nothing: the codec has no such settings."""

    def decode(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices]:
        """Decode payloads, as :meth:`Bank.decode`."""
        if len(lengths) == 0:
            return np.zeros((0, 0), np.float32), lengths
        width, odd = divmod(int(lengths[0]), self._octets_per_sample)
        if 0 < width <= self._longest and not odd and not np.count_nonzero(lengths != lengths[0]):
            pcm = self.concealer.good(self._linear(payloads, width), slots)
            return pcm, np.full(len(lengths), width, np.intp)
        return self._decode_ragged(payloads, lengths, slots)

    def conceal(self, slots: Indices, samples: int) -> Pcm:
        """Return the last pitch period repeated over `samples` lost samples, ``(n, samples)``."""
        return self.concealer.lost(slots, samples)

    def recover(  # the shape is the Bank's
        self,
        payloads: Bytes,
        lengths: Indices,
        slots: Indices,
        samples: int,
    ) -> Pcm:
        """Return concealment that leads from the sound before the gap to that of the payloads after it."""
        if len(slots) == 0:
            return np.zeros((0, samples), np.float32)
        pcm = np.empty((len(slots), samples), np.float32)
        for length, rows in by_length(lengths):
            width = min(length // self._octets_per_sample, self._tick)
            if width < self.codec.samples(LEAST_FUTURE_MS):
                pcm[rows] = self.conceal(slots[rows], samples)
            else:
                future = self._linear(payloads[rows], width)
                pcm[rows] = self.concealer.bridge(future, slots[rows], samples)
        return pcm

    def encode(self, pcm: Pcm, slots: Indices) -> tuple[Bytes, Indices]:
        """Return one payload per row of ``(n, samples)``, any number of samples."""
        if self._law:
            payloads = g711.encode(g711.ENCODING[self._law], pcm)
        else:
            # RFC 3551 section 4.5.11: most significant octet first, whatever the byte order of the machine.
            payloads = to_octets(pcm).view(np.int16).byteswap().view(np.uint8)
        return payloads, np.full(len(pcm), payloads.shape[1], np.intp)

    def _linear(self, payloads: Bytes, width: int) -> Pcm:
        if self._law:
            return g711.decode(g711.DECODING[self._law], payloads[:, :width])
        return np.ascontiguousarray(payloads[:, : 2 * width]).view(">i2").astype(np.float32)

    def _decode_ragged(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices]:
        """Decode rows of different durations; rows may be empty, odd or too long."""
        counts = np.minimum(lengths // self._octets_per_sample, self._longest)
        self.faults += int(np.count_nonzero((counts == 0) | (counts * self._octets_per_sample != lengths)))
        width = max(int(counts.max(initial=0)), self._tick)
        pcm = np.zeros((len(counts), width), np.float32)
        coded = min(width, payloads.shape[1] // self._octets_per_sample)
        pcm[:, :coded] = self._linear(payloads, coded)
        pcm[np.arange(width) >= counts[:, None]] = 0.0
        empty = np.flatnonzero(counts == 0)
        pcm = self.concealer.settle(pcm, counts, slots)
        pcm[empty, : self._tick] = self.concealer.lost(slots[empty], self._tick)
        counts = np.where(counts == 0, self._tick, counts)
        return pcm[:, : int(counts.max())], counts


def bank_for(codec: Codec, slots: int = 0, *, complexity: int = COMPLEXITY) -> Bank:
    """Return a new bank of `codec`; `complexity` is the effort of Opus encoders, 0-10.

    Raises:
        ValueError: the codec carries no audio we know, such as telephone-event.
    """
    match codec.name:
        case "PCMU" | "PCMA" | "L16":
            return LinearBank(codec, slots)
        case "G722":
            return G722Bank(codec, slots)
        case "opus":
            if libopus.library() is None:
                from softswitch.audio.opus_av import AvOpusBank  # noqa: PLC0415  (PyAV again)

                return AvOpusBank(codec, slots)
            return OpusBank(codec, slots, complexity=complexity)
        case name:
            raise ValueError(f"codec: {name!r} is not supported")
