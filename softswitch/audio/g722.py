"""G.722 for many legs at 64 kbit/s: in compiled code where there is some, else by libavcodec.

The codec predicts every sample from the one before, so numpy cannot share the work of rows as in G.711.
``g722.c`` works on eight rows at once where the processor has AVX2, else on one after another. All three are
bit exact to each other and to the ITU's vectors. See docs/adr/0047.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from softswitch.audio import g722_gap
from softswitch.audio.codec import G722, Codec
from softswitch.audio.conceal import LEAST_FUTURE_MS, Concealer, by_length
from softswitch.audio.pcm import TICK_MS, Bytes, Indices, Pcm, to_int16
from softswitch.compiled import Address, address, function_address, library, locked

_LONGEST = 960
"""Octets of 120 ms, the most that is decoded of a packet."""

_SAMPLES_PER_CODE = 2

_DELAY = 22
"""Samples by which the filters of encoder and decoder together delay the sound."""

_CHUNK = 160
"""Samples that the encoder works on at once."""

_UNSURE = 48
"""First samples of the sound after a gap, 3 ms, that are concealed too: the state before the gap, with which
they are decoded, fits worst there."""

LEAST_OCTETS = (_UNSURE + G722.samples(LEAST_FUTURE_MS)) // _SAMPLES_PER_CODE
"""Shortest packet that helps to conceal the gap before it."""

_PASSES = 2
"""How often the state after a gap is estimated; a third time changes nothing."""

_LOW_BAND, _HIGH_BAND, _FIELDS = 0, 20, 20
_POLES, _STEP, _ZEROS = slice(5, 7), 7, slice(14, 20)
"""Words of a state: bands and their fields, as in ``struct band`` of g722.c."""


def _trust() -> Pcm:
    """Return how much of the change over a gap is believed, by word of the state, ``(words,)``.

    The state that is in the middle between that before the gap and that of the concealed sound is nearer to
    the true one than both. The parts are those of a regression over gaps of spoken sentences.
    """
    trust = np.ones(2 * _FIELDS, np.float32)
    for band, predictor, step in ((_LOW_BAND, 0.6, 0.8), (_HIGH_BAND, 0.3, 0.5)):
        words = trust[band : band + _FIELDS]
        words[_POLES] = words[_ZEROS] = predictor
        words[_STEP] = step
    return trust


_TRUST = _trust()

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

    def bridge(self, payloads: Bytes, slots: Indices, samples: int) -> Pcm | None:
        """Conceal a gap with the help of the packets that follow, and estimate the state after it.

        Args:
            payloads: all octets of the packets after the gap, ``(n, octets)``, LEAST_OCTETS at least.
            slots: rows of the states, each at most once, ``(n,)``.
            samples: how long the gap is.

        Returns:
            Audio ``(n, samples)``; None if these coders cannot copy their states.
        """


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

    def states(self, slots: Indices) -> Bytes:
        """Return copies of the states of decoders, ``(n, size)``."""
        copies: Bytes = self._decoders[slots]
        return copies

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

    def bridge(self, payloads: Bytes, slots: Indices, samples: int) -> Pcm:
        """Conceal a gap as :meth:`Coders.bridge` says.

        A decoder follows its encoder only with every packet: its predictors and steps are wrong after a gap,
        and so is the sound for some 40 ms. They are mended by what an encoder makes of the concealed sound,
        which in turn needs the sound after the gap; so both are made twice. Then a network estimates them
        from all that is known (g722_gap.py), and the gap is concealed once more.
        """
        past = self._sound[slots]
        ahead = self._concealer.ahead(slots, samples + _UNSURE)
        after, told = self.guessed(self._decoders[slots], payloads, past, ahead)
        after = g722_gap.corrected(after, told)
        pcm = self._between(ahead, self._decode_from(after.copy(), payloads))
        self._decoders[slots] = after
        self._concealer.bridged(pcm, slots, samples, _UNSURE)
        return pcm[:, :samples]

    def guessed(self, before: Bytes, payloads: Bytes, past: Pcm, ahead: Pcm) -> tuple[Bytes, g722_gap.Floats]:
        """Return states after a gap as the concealed sound makes them, and what the network is told.

        Args:
            before: states before the gap, ``(n, size)``.
            payloads: as for :meth:`bridge`.
            past: sound before the end of the gap, concealed from the past alone, ``(n, g722_gap.PAST)``.
            ahead: repetition of the past throughout the gap and for _UNSURE samples, ``(n, samples)``.
        """
        sound, gains = self._first_heard(before, payloads)
        after = followed = before
        for turn in range(_PASSES):
            if turn:
                sound = self._decode_from(after.copy(), payloads)
            pcm = self._between(ahead, sound)
            followed = self._followed(before, pcm[:, : ahead.shape[1] - _UNSURE + _DELAY])
            after = _in_the_middle(before, followed)
        sound = self._decode_from(after.copy(), payloads)
        return after, g722_gap.inputs(before, followed, gains, sound[:, : g722_gap.SOUND], past)

    def _between(self, ahead: Pcm, sound: Pcm) -> Pcm:
        """Return the sound of a gap and of what follows, whose first part is concealed too."""
        future = sound[:, _UNSURE:]
        return np.concatenate((self._concealer.between(ahead, future), future), axis=1)

    def _first_heard(self, before: Bytes, payloads: Bytes) -> tuple[Pcm, list[g722_gap.Floats]]:
        """Decode packets from the states before a gap; also return what their codes add to these."""
        states, begin, parts, gains = before.copy(), 0, [], []
        words = g722_gap.estimated(before)
        for end in g722_gap.CUTS:
            parts.append(self._decode_from(states, payloads[:, begin:end]))
            gains.append(g722_gap.added(words, g722_gap.estimated(states), end))
            begin = end
        return np.concatenate(parts, axis=1), gains

    def _followed(self, before: Bytes, pcm: Pcm) -> Bytes:
        """Return what the states `before` a gap become if the sound of the gap was `pcm`, _DELAY longer."""
        samples = (pcm.shape[1] - _DELAY) // _CHUNK * _CHUNK
        if not samples:
            return before
        pcm = np.ascontiguousarray(pcm[:, -samples - _DELAY :])
        encoders, codes = before.copy(), np.empty((len(pcm), samples // _SAMPLES_PER_CODE), np.uint8)
        past = 4 * 2 * _FIELDS
        encoders[:, past : past + 2 * _DELAY] = to_int16(pcm[:, :_DELAY]).view(np.uint8)
        rows, sound = np.arange(len(pcm)), np.ascontiguousarray(pcm[:, _DELAY:])
        self._encode[0](
            address(encoders), len(rows), address(rows), len(rows), address(sound), codes.shape[1],
            address(codes), self._alone,
        )  # fmt: skip
        after = before.copy()
        self._decode_from(after, codes)
        return after

    def _decode_from(self, states: Bytes, codes: Bytes) -> Pcm:
        """Decode rows of whole packets from states of their own, which are changed."""
        codes = np.ascontiguousarray(codes)
        count, octets = codes.shape
        rows, lengths, counts = np.arange(count), np.full(count, octets, np.intp), np.empty(count, np.intp)
        pcm, unheard = np.empty((count, _SAMPLES_PER_CODE * octets), np.float32), np.ones(count, np.intp)
        self._decode[0](
            address(states), count, address(rows), count, address(codes), octets, address(lengths),
            address(pcm), pcm.shape[1], address(counts), address(pcm), 0, address(unheard), self._alone,
        )  # fmt: skip
        return pcm


def _in_the_middle(before: Bytes, followed: Bytes) -> Bytes:
    """Return states between those before a gap and those of the concealed sound, by _TRUST."""
    after = followed.copy()
    words, old = (states.view(np.int32)[:, : 2 * _FIELDS] for states in (after, before))
    words[:] = old + np.rint((words - old) * _TRUST).astype(np.int32)
    return after


def _both(function: Any, result: type, arguments: Sequence[type]) -> tuple[Callable[..., int], ...]:
    """Return a function of the library that keeps the interpreter's lock, and one that gives it away."""
    free = ctypes.CFUNCTYPE(result, *arguments)(function_address(function))
    return locked(function, result, arguments), free


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
        """Return concealment that leads from the sound before the gap to that of the packets after it.

        Coders of libavcodec cannot copy their state: they conceal as :meth:`conceal`.
        """
        pcm = np.empty((len(slots), samples), np.float32)
        for length, rows in by_length(lengths):
            octets = min(length, payloads.shape[1], self._tick // _SAMPLES_PER_CODE)
            made = None
            if octets >= LEAST_OCTETS:
                made = self._coders.bridge(payloads[rows, :octets], slots[rows], samples)
            pcm[rows] = self.conceal(slots[rows], samples) if made is None else made
        return pcm

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
