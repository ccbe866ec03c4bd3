"""G.722 for many legs at 64 kbit/s: in compiled code where there is some, else by libavcodec.

The codec predicts every sample from the one before, so numpy cannot share the work of rows as in G.711.
``g722.c`` works on eight rows at once where the processor has AVX2, else on one after another. All three are
bit exact to each other and to the ITU's vectors. See docs/adr/0047.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from softswitch.audio.codec import G722, Codec
from softswitch.audio.conceal import Concealer
from softswitch.audio.pcm import TICK_MS, Bytes, Indices, Pcm
from softswitch.compiled import Address, address, library

_LONGEST = 960
"""Octets of 120 ms, the most that is decoded of a packet."""

_SAMPLES_PER_CODE = 2

_BRIEF = 16 * 320
"""Samples in a call up to which the interpreter's lock is kept.

They take 0.03 ms with AVX2 and 0.15 without. A thread that gives the lock away waits for up to the switch
interval to get it back.
"""


class Coders(Protocol):
    """Encoders and decoders of all slots."""

    name: str
    """``compiled`` or ``libavcodec``."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1; open slots keep their state."""

    def close(self, slot: int) -> None:
        """Clear the state of `slot`."""

    def decode(
        self, payloads: Bytes, lengths: Indices, slots: Indices
    ) -> tuple[Pcm, Indices, Indices | None]:
        """Decode packets.

        Args:
            payloads: ``(n, octets)``.
            lengths: octets of each that count, ``(n,)``; what exceeds 120 ms is cut off.
            slots: rows of the states, each at most once, ``(n,)``.

        Returns:
            Audio ``(n, samples)`` padded with zeros; the samples of each row, 0 for an empty packet; and the
            rows whose sound the concealer has not seen, None if it has seen all and no packet was empty or
            cut off.
        """

    def encode(self, pcm: Pcm, slots: Indices) -> Bytes:
        """Return the payloads ``(n, octets)`` of ``(n, samples)``, whole pieces of 10 ms."""


class CompiledCoders:
    """The code of ``g722.c``, with its states and the recent sound of a concealer."""

    name = "compiled"

    def __init__(self, code: ctypes.CDLL, concealer: Concealer, *, alone: bool = False) -> None:
        """Use a loaded library.

        Args:
            code: the library.
            concealer: decoded sound is remembered in it, but for the rows that are left to it.
            alone: rows are not worked on together, even where the processor could.
        """
        pointer, long, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
        code.softswitch_g722_state.restype = long
        self._size: int = code.softswitch_g722_state()
        encode = [pointer, long, pointer, long, pointer, long, pointer, number]
        self._encode = _both(code.softswitch_g722_encode, number, encode)
        decode = [pointer, long, pointer, long, pointer, long, pointer, pointer, long, pointer, pointer, long,
                  pointer, number]  # fmt: skip
        self._decode = _both(code.softswitch_g722_decode, long, decode)
        self._concealer, self._alone = concealer, int(alone)
        self._slots, self._lengths = Address(), Address()
        self._encoders: Bytes = np.zeros((0, self._size), np.uint8)
        self._decoders: Bytes = np.zeros((0, self._size), np.uint8)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1; open slots keep their state."""
        more = slots - len(self._encoders)
        if more > 0:
            self._encoders = np.pad(self._encoders, ((0, more), (0, 0)))
            self._decoders = np.pad(self._decoders, ((0, more), (0, 0)))
        self._encoders_at, self._decoders_at = address(self._encoders), address(self._decoders)
        self._sound, self._lost = self._concealer.tables()
        self._sound_at, self._lost_at = address(self._sound), address(self._lost)
        self._places = min(len(self._encoders), len(self._lost))

    def close(self, slot: int) -> None:
        """Clear the state of `slot`."""
        self._encoders[slot] = 0
        self._decoders[slot] = 0

    def decode(
        self, payloads: Bytes, lengths: Indices, slots: Indices
    ) -> tuple[Pcm, Indices, Indices | None]:
        """Decode packets as :meth:`Coders.decode` says.

        Raises:
            ValueError: there is not one length and one slot for each payload.
            IndexError: a slot has no place in the bank.
        """
        payloads = np.ascontiguousarray(payloads, np.uint8)
        lengths = np.ascontiguousarray(lengths, np.intp)
        slots = np.ascontiguousarray(slots, np.intp)
        rows, width = payloads.shape
        if lengths.shape != (rows,) or slots.shape != (rows,):
            raise ValueError(f"payloads: {rows} rows for {lengths.size} lengths and {slots.size} slots")
        room = _SAMPLES_PER_CODE * max(min(max(lengths.tolist(), default=0), width, _LONGEST), 0)
        pcm, counts = np.empty((rows, room), np.float32), np.empty(rows, np.intp)
        left = self._decode[rows * room > _BRIEF](
            self._decoders_at, self._places, self._slots.of(slots), rows,
            address(payloads), width, self._lengths.of(lengths), address(pcm), room, address(counts),
            self._sound_at, self._sound.shape[1], self._lost_at, self._alone,
        )  # fmt: skip
        if left < 0:
            raise IndexError(f"slots: not all of them are below {self._places}")
        if not left:
            return pcm, counts, None
        return pcm, counts, np.flatnonzero(self._lost[slots])

    def encode(self, pcm: Pcm, slots: Indices) -> Bytes:
        """Encode rows as :meth:`Coders.encode` says.

        Raises:
            ValueError: there is not one slot for each row, or rows are not made of whole pieces.
            IndexError: a slot has no place in the bank.
        """
        pcm = np.ascontiguousarray(pcm, np.float32)
        slots = np.ascontiguousarray(slots, np.intp)
        rows, samples = pcm.shape
        if slots.shape != (rows,):
            raise ValueError(f"pcm: {rows} rows for {slots.size} slots")
        if samples % (G722.samples(TICK_MS) // 2):
            raise ValueError(f"pcm: {samples} samples are not whole pieces of 10 ms")
        codes = samples // _SAMPLES_PER_CODE
        payloads = np.empty((rows, codes), np.uint8)
        fault = self._encode[rows * samples > _BRIEF](
            self._encoders_at, self._places, self._slots.of(slots), rows,
            address(pcm), codes, address(payloads), self._alone,
        )  # fmt: skip
        if fault:
            raise IndexError(f"slots: not all of them are below {self._places}")
        return payloads


def _both(function: Any, result: type, arguments: Sequence[type]) -> tuple[Callable[..., int], ...]:
    """Return a function of the library that keeps the interpreter's lock, and one that gives it away."""
    at = ctypes.cast(function, ctypes.c_void_p).value or 0
    return ctypes.PYFUNCTYPE(result, *arguments)(at), ctypes.CFUNCTYPE(result, *arguments)(at)


def _coders(concealer: Concealer) -> Coders:
    code = library()
    if code is not None:
        return CompiledCoders(code, concealer)
    from softswitch.audio.g722_av import AvCoders  # noqa: PLC0415  (PyAV takes 16 MB)

    return AvCoders()


class G722Bank:
    """Encoders and decoders of G.722, one pair per slot."""

    def __init__(
        self, codec: Codec = G722, slots: int = 0, coders: Callable[[Concealer], Coders] = _coders
    ) -> None:
        """Make a bank.

        Args:
            codec: G.722.
            slots: rows to begin with.
            coders: makes the coders for a concealer; the best ones there are if it is left out.
        """
        self.codec = codec
        self.sample_rate = codec.sample_rate
        self.faults = 0
        """Payloads that were empty or longer than any packet."""
        self._concealer = Concealer(self.sample_rate)
        self._coders = coders(self._concealer)
        self._tick = codec.samples(TICK_MS)
        self.grow(max(slots, 1))
        packets, _ = self.encode(np.zeros((1, self._tick), np.float32), np.zeros(1, np.intp))
        self.silence = packets[0].tobytes()
        self.close(0)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1; open slots keep their state."""
        self._concealer.grow(slots)
        self._coders.grow(slots)

    def open(self, slot: int) -> None:
        """Clear the state of `slot`."""
        self.close(slot)

    def close(self, slot: int) -> None:
        """Free the state of `slot`; a closed slot may be closed again."""
        self._coders.close(slot)
        self._concealer.reset(slot)

    def tune(
        self,
        slot: int,
        *,
        bitrate: int | None = None,
        loss_percent: int | None = None,
        band_hz: int | None = None,
    ) -> None:
        """Do nothing: G.722 has no such settings."""

    def decode(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices]:
        """Decode packets; an empty packet is concealed and counted in `faults`.

        Args:
            payloads: ``(n, octets)`` uint8.
            lengths: octets of each that count, ``(n,)``; what exceeds 120 ms is cut off.
            slots: rows of the bank, each at most once, ``(n,)``.

        Returns:
            ``(n, samples)`` float32 in PCM16 units at 16 kHz, padded with zeros, and the samples of each row.
        """
        pcm, counts, unsettled = self._coders.decode(payloads, lengths, slots)
        if unsettled is None:
            return pcm, counts
        self.faults += int(np.count_nonzero((counts == 0) | (counts != lengths * _SAMPLES_PER_CODE)))
        empty = np.flatnonzero(counts == 0)
        arrived = unsettled[counts[unsettled] > 0]
        if empty.size:
            pcm = self._concealed(pcm, empty, slots)
            counts[empty] = self._tick
        if len(arrived) == len(slots):
            return self._concealer.settle(pcm, counts, slots), counts
        if arrived.size:
            pcm[arrived] = self._concealer.settle(pcm[arrived], counts[arrived], slots[arrived])
        return pcm, counts

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
        """Return concealment: a G.722 packet repeats nothing of the packet before it."""
        return self.conceal(slots, samples)

    def encode(self, pcm: Pcm, slots: Indices) -> tuple[Bytes, Indices]:
        """Return one payload per row.

        Args:
            pcm: ``(n, samples)`` float32 in PCM16 units, whole pieces of 10 ms (160 samples).
            slots: rows of the bank, ``(n,)``.

        Raises:
            ValueError: `pcm` is not made of whole pieces.
        """
        if pcm.shape[1] % (self._tick // 2) or not pcm.shape[1]:
            raise ValueError(f"pcm: {pcm.shape[1]} samples are not whole pieces of {self._tick // 2}")
        payloads = self._coders.encode(pcm, slots)
        lengths = np.empty(len(slots), np.intp)
        lengths.fill(payloads.shape[1])
        return payloads, lengths

    def _concealed(self, pcm: Pcm, empty: Indices, slots: Indices) -> Pcm:
        """Return decoded rows with 20 ms of concealment in those of empty packets."""
        if pcm.shape[1] < self._tick:
            pcm = np.pad(pcm, ((0, 0), (0, self._tick - pcm.shape[1])))
        pcm[empty, : self._tick] = self._concealer.lost(slots[empty], self._tick)
        return pcm
