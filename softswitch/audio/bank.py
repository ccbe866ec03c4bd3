"""A bank codes and decodes every leg that uses one codec; the engine keeps one bank per codec."""

from typing import Protocol

import numpy as np

from softswitch.audio import g711, libopus
from softswitch.audio.codec import Codec
from softswitch.audio.conceal import Concealer
from softswitch.audio.g722 import G722Bank
from softswitch.audio.opus import OpusBank
from softswitch.audio.opus_av import AvOpusBank
from softswitch.audio.pcm import TICK_MS, Bytes, Indices, Pcm, to_octets

_LONGEST_MS = 120
"""Longer payloads are cut: no telephone sends them, and one would make every other row as wide."""


class Bank(Protocol):
    """What the engine asks of a codec. Rows of all arrays belong to `slots`, each of which comes once."""

    codec: Codec
    sample_rate: int
    """Rate of the linear audio, Hz."""
    silence: bytes
    """A payload of 20 ms of silence."""
    faults: int
    """Payloads that could not be decoded, or not wholly; concealment was played for them."""

    def open(self, slot: int) -> None:
        """Begin with fresh state in `slot`."""

    def close(self, slot: int) -> None:
        """Free what `slot` holds; closing twice is no error."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1; those that are open stay as they are."""

    def decode(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices]:
        """Return what payloads ``(n, octets)`` of `lengths` hold: ``(n, samples)`` and each row's samples.

        Rows shorter than the longest are padded with zeros. It never raises for what a stranger may send: a
        payload that cannot be decoded becomes 20 ms of concealment and one more in `faults`.
        """

    def conceal(self, slots: Indices, samples: int) -> Pcm:
        """Return ``(n, samples)`` of what might have been in a packet that is lost."""

    def recover(self, payloads: Bytes, lengths: Indices, slots: Indices, samples: int) -> Pcm:
        """Return ``(n, samples)`` of a lost packet from the payloads *after* it, or conceal."""

    def encode(self, pcm: Pcm, slots: Indices) -> tuple[Bytes, Indices]:
        """Return payloads ``(n, octets)`` of rows ``(n, samples)``, and the octets of each that count."""

    def tune(self, slot: int, *, bitrate: int | None = None, loss_percent: int | None = None) -> None:
        """Set bits per second and expected loss of an encoder, where the codec has such."""


class LinearBank:
    """A bank of a codec without state, G.711 or L16, with pitch-repeat concealment."""

    def __init__(self, codec: Codec, slots: int = 0) -> None:
        """Make a bank of `codec`, ``PCMU``, ``PCMA`` or ``L16``, with `slots` rows to begin with."""
        self.codec = codec
        self.sample_rate = codec.sample_rate
        self.faults = 0
        self._law = codec.name if codec.name in g711.DECODING else None
        self._octets_per_sample = 1 if self._law else 2
        self._concealer = Concealer(codec.sample_rate, slots)
        self._tick = codec.samples(TICK_MS)
        self._longest = codec.samples(_LONGEST_MS)
        self.silence = bytes([g711.SILENCE[self._law] if self._law else 0]) * (
            self._tick * self._octets_per_sample
        )

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._concealer.grow(slots)

    def open(self, slot: int) -> None:
        """Begin with fresh state in `slot`."""
        self._concealer.reset(slot)

    def close(self, slot: int) -> None:
        """Forget the sound of `slot`."""
        self._concealer.reset(slot)

    def tune(self, slot: int, *, bitrate: int | None = None, loss_percent: int | None = None) -> None:
        """Do nothing: neither bit rate nor redundancy can be set here."""

    def decode(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices]:
        """Return what the payloads hold, as :meth:`Bank.decode` says."""
        if len(lengths) == 0:
            return np.zeros((0, 0), np.float32), lengths
        width, odd = divmod(int(lengths[0]), self._octets_per_sample)
        if 0 < width <= self._longest and not odd and (lengths == lengths[0]).all():
            pcm = self._concealer.good(self._linear(payloads, width), slots)
            return pcm, np.full(len(lengths), width, np.intp)
        return self._decode_ragged(payloads, lengths, slots)

    def conceal(self, slots: Indices, samples: int) -> Pcm:
        """Return the last pitch period repeated over `samples` lost samples, ``(n, samples)``."""
        return self._concealer.lost(slots, samples)

    def recover(  # the shape is the Bank's
        self,
        payloads: Bytes,
        lengths: Indices,
        slots: Indices,
        samples: int,
    ) -> Pcm:
        """Conceal: these payloads hold nothing of the one before."""
        return self.conceal(slots, samples)

    def encode(self, pcm: Pcm, slots: Indices) -> tuple[Bytes, Indices]:
        """Return one payload per row of ``(n, samples)``, any number of samples."""
        if self._law:
            payloads = g711.encode(g711.ENCODING[self._law], pcm)
        else:
            # RFC 3551 section 4.5.11: most significant octet first, whatever this machine's order is.
            payloads = to_octets(pcm).view(np.int16).byteswap().view(np.uint8)
        return payloads, np.full(len(pcm), payloads.shape[1], np.intp)

    def _linear(self, payloads: Bytes, width: int) -> Pcm:
        if self._law:
            return g711.decode(g711.DECODING[self._law], payloads[:, :width])
        return np.ascontiguousarray(payloads[:, : 2 * width]).view(">i2").astype(np.float32)

    def _decode_ragged(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices]:
        """Decode rows of different durations, some of them perhaps empty, odd or much too long."""
        counts = np.minimum(lengths // self._octets_per_sample, self._longest)
        self.faults += int(np.count_nonzero((counts == 0) | (counts * self._octets_per_sample != lengths)))
        width = max(int(counts.max(initial=0)), self._tick)
        pcm = np.zeros((len(counts), width), np.float32)
        coded = min(width, payloads.shape[1] // self._octets_per_sample)
        pcm[:, :coded] = self._linear(payloads, coded)
        pcm[np.arange(width) >= counts[:, None]] = 0.0
        empty = np.flatnonzero(counts == 0)
        pcm = self._concealer.settle(pcm, counts, slots)
        pcm[empty, : self._tick] = self._concealer.lost(slots[empty], self._tick)
        counts = np.where(counts == 0, self._tick, counts)
        return pcm[:, : int(counts.max())], counts


def bank_for(codec: Codec, slots: int = 0) -> Bank:
    """Return a new bank of `codec`.

    Raises:
        ValueError: the codec carries no audio we know, such as telephone-event.
    """
    match codec.name:
        case "PCMU" | "PCMA" | "L16":
            return LinearBank(codec, slots)
        case "G722":
            return G722Bank(codec, slots)
        case "opus":
            return OpusBank(codec, slots) if libopus.library() is not None else AvOpusBank(codec, slots)
        case name:
            raise ValueError(f"codec: there is no bank for {name!r}")
