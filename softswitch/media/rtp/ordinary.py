"""Ordinary packets in compiled code: those that continue their stream without anything to decide.

``ordinary.c`` takes packets in, plays and makes them for many slots in one call each, on the arrays of
:mod:`softswitch.rtp` and of the codec banks. All other packets are left to the Python code of these modules,
which does the same for every packet where there is no compiled code; the tests compare the two. See
docs/adr/0037.
"""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.bank import Bank, LinearBank
from softswitch.audio.codec import OPUS
from softswitch.audio.g711 import DECODING
from softswitch.audio.opus import LONGEST_PACKET, OpusBank, libopus_functions
from softswitch.audio.pcm import FRAME, Bytes, Indices, Pcm
from softswitch.compiled import Address, address, locked
from softswitch.media.rtp.formats import CODECS, Formats
from softswitch.media.rtp.transcode import Transcoder
from softswitch.rtp.packet import HEADER, LEVEL_EXTENSION, Ints, Mask, Packets
from softswitch.rtp.session import Sessions

_RATE = 8000
_LAWS = 2
"""Kinds of G.711: the first two of :data:`CODECS`."""

_PACKET = HEADER + 160
"""Octets of a packet of 20 ms of G.711."""

_OPUS = CODECS.index(OPUS)

_ROW = HEADER + LEVEL_EXTENSION + LONGEST_PACKET
"""Octets of a row for a packet of Opus."""

_CONVERSION = 10
"""Numbers in ``struct conversion`` of ordinary.c."""


class _Law(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("decoding", "sound", "lost")]


class _Books(ctypes.Structure):
    """``struct books`` of ordinary.c."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in (
            "kinds", "sources", "timeline", "transits", "arrivals", "reserves", "state", "notes", "ring",
        )),
        ("ring_width", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in (
            "suspended", "octets", "relays", "excess", "steps", "per_octet", "playing", "held", "senders",
            "last", "forwarded",
        )),
        ("width", ctypes.c_int64),
        ("forwarded_lengths", ctypes.c_void_p),
        ("forwarded_slots", ctypes.c_void_p),
        ("forwards", ctypes.c_int64),
        ("left", ctypes.c_void_p),
        ("batch", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("prepared", "ptimes", "rough", "found", "sorted")),
        ("conversions", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in (
            "per_pair", "payloads", "payload_lengths", "sources_of", "targets_of",
        )),
        *((name, ctypes.c_void_p) for name in ("past_up", "past_down", "taps_up", "taps_down")),
        ("laws", _Law * _LAWS),
        ("decoders", ctypes.c_void_p),
        ("opus_decode", ctypes.c_void_p),
        ("faults", ctypes.c_int64),
        ("lines", ctypes.c_void_p),
        ("room", ctypes.c_int64),
        ("settles", ctypes.c_int64),
        ("patience", ctypes.c_void_p),
        ("stretched", ctypes.c_int64),
    ]  # fmt: skip


class _Made:
    """Packets of one kind, and their address."""

    def __init__(self, count: int) -> None:
        self.rows: Bytes = np.empty((count, _PACKET), np.uint8)
        self.lengths: Indices = np.full(count, _PACKET, np.intp)
        self.at = address(self.rows)


class Gathered:
    """Packets to be converted, in the order of their pairs of codecs."""

    def __init__(self, count: int, width: int) -> None:
        self.payloads: Bytes = np.zeros((count, width), np.uint8)
        self.lengths: Indices = np.zeros(count, np.intp)
        self.slots: Indices = np.zeros(count, np.intp)
        self.targets: Indices = np.zeros(count, np.intp)
        self.per_pair: Ints = np.zeros(len(CODECS) ** 2, np.int64)
        """Number of packets by pair, which is the kind received * number of kinds + the kind to be sent."""
        self.records: Ints = np.zeros((2, count, _CONVERSION), np.int64)
        """``struct conversion`` of each, in two orders."""

    def __len__(self) -> int:
        return len(self.lengths)


class OrdinaryPackets:
    """The compiled code of one plane, and the addresses of the arrays that it works on.

    All arrays that are handed over have to be C-contiguous.
    """

    def __init__(self, code: ctypes.CDLL, formats: Formats, sessions: Sessions) -> None:
        """Work on the arrays of a plane.

        Args:
            code: the loaded library.
            formats: codec banks and resamplers; nothing is played of a codec without a bank.
            sessions: sources, jitter buffers and senders.
        """
        pointer, number, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
        self._accept, self._play = code.softswitch_accept, code.softswitch_play
        self._review, self._pack = code.softswitch_review, code.softswitch_pack
        self._accept.argtypes = [pointer, pointer, long, pointer, pointer, number, long, number, pointer]
        self._play.argtypes = [pointer, pointer, number, pointer, pointer, pointer]
        self._review.argtypes = [pointer, pointer, number, long, pointer, pointer]
        self._pack.argtypes = [pointer, number, pointer, number, pointer, pointer]
        self._put_converted = code.softswitch_put_converted
        self._put_converted.argtypes = [
            pointer, long, number, pointer, long, pointer, pointer, long, pointer,
        ]  # fmt: skip
        self._put_law, self._decode_law = code.softswitch_put_law, code.softswitch_decode_law
        self._put_law.argtypes = [pointer, number, long, number, pointer, pointer, long, pointer]
        self._decode_law.argtypes = [pointer, pointer, pointer, pointer, long, pointer, number, pointer]
        self._put_opus, self._decode_opus = code.softswitch_put_opus, code.softswitch_decode_opus
        self._put_opus.argtypes = [
            pointer, pointer, pointer, long, number, pointer, pointer, long, long, pointer,
        ]  # fmt: skip
        self._decode_opus.argtypes = [
            pointer, pointer, pointer, long, pointer, number, number, pointer,
        ]  # fmt: skip
        self._pack_opus = code.softswitch_pack_opus
        self._pack_opus.argtypes = [
            pointer, pointer, pointer, pointer, number, pointer, pointer, pointer, pointer, long, long,
            pointer,
        ]  # fmt: skip
        self._pack.restype = self._put_converted.restype = self._put_law.restype = None
        self._jitter = locked(code.softswitch_jitter, long, [pointer, long, long])
        self._opus_decode, self._opus_encode = libopus_functions()
        self._formats, self._sessions = formats, sessions
        self.playing: Ints = np.zeros(0, np.int64)
        """Kind of the packet that each slot played last; the receiver's."""
        self.held: Ints = np.zeros(0, np.int64)
        """Samples that each slot has decoded and not played; the receiver's."""
        self.lines: Pcm = np.zeros((0, 0), np.float32)
        """These samples; the receiver's."""
        self.patience: Ints = np.zeros(0, np.int64)
        """Frames in which each slot has looked for a place to be stretched; the receiver's."""
        self.last: Pcm = np.zeros(0, np.float32)
        """Last sample encoded for each slot; the encoder's."""
        self.transcoder: Transcoder | None = None
        """Converts packets for relays; None: such packets are left."""
        self.gathered = Gathered(0, 0)
        """Packets to be converted; more room, or wider packets, replace it."""
        self._room: Packets | None = None
        """Arrays for packets to be forwarded, of which the last call made none."""
        self._room_at: tuple[int, ...] = ()
        self._books = _Books()
        self._kept: list[NDArray[Any]] = []
        """Keeps the arrays alive whose addresses are in the books."""
        self._at = ctypes.addressof(self._books)
        self._revision, self._ring = -1, np.zeros((0, 0), np.uint8)
        self._rest: Indices = np.zeros(0, np.intp)
        self._rest_at = 0
        self._addresses = tuple(Address() for _ in range(7))
        self._memories = tuple((Address(), Address()) for _ in range(_LAWS))
        """Addresses of what the decoders of conversions keep for concealment, by kind."""
        self._made: dict[int, _Made] = {}

    def accept(
        self, rows: Bytes, lengths: Indices, slots: Indices, arrival: int, *, timed: bool
    ) -> Indices | None:
        """Take in the ordinary ones of received datagrams, and forward those of relays.

        Args:
            rows: ``(n, octets)``, n at least 1.
            lengths: octets of each.
            slots: slot of each, of open ports; several of a slot are in order of arrival.
            arrival: units of the monotonic clock.
            timed: arrivals say something about the network.

        Returns:
            The rows that were left; behind the first of a slot that is RTP, all of that slot. None if there
            are none.
        """
        left = self._accept_some(rows, lengths, slots, arrival, timed=timed)
        # Codecs take one packet of a slot at a time: the next one, that came late together with it, was left.
        while left is not None and self._books.conversions:
            again = self._accept_some(rows[left], lengths[left], slots[left], arrival, timed=timed)
            left = None if again is None else left[again]
        return left

    def _accept_some(
        self, rows: Bytes, lengths: Indices, slots: Indices, arrival: int, *, timed: bool
    ) -> Indices | None:
        """Do what :meth:`accept` does, but convert at most one packet of each slot."""
        count = len(slots)
        self._look(count)
        by_rows, by_lengths, by_slots = self._addresses[:3]
        relays, forwarded = self._sessions.relays, None
        if relays.active:
            forwarded = self._room_to_forward(count)
        left = self._accept(
            self._at, by_rows.of(rows), rows.shape[1], by_lengths.of(lengths), by_slots.of(slots), count,
            arrival, timed, self._rest_at,
        )  # fmt: skip
        rest = self._rest[:left].copy() if left else None
        self._sessions.received += count - left
        if forwarded is not None:
            self._books.forwarded = None
            if made := self._books.forwards:
                self._room = None
                relays.add((forwarded[0][:made], forwarded[1][:made], forwarded[2][:made]))
            if self._books.conversions and self.transcoder is not None:
                self._convert(self.transcoder)
        return rest

    def books(self, count: int) -> int:
        """Return the address of the books, for compiled code that takes in at most `count` packets at once.

        It may be used until the next call of a method.
        """
        self._look(count)
        if count > len(self.gathered):
            self._make_room_to_convert(count)
        return self._at

    def convert_gathered(self) -> None:
        """Convert what such code has gathered, and add what is made of it to the packets of the relays."""
        if self.transcoder is not None:
            self._convert(self.transcoder)

    def play(
        self, slots: Indices, stretched: Mask | None, out: Pcm, *, settles: bool = False
    ) -> Indices | None:
        """Play the next packet of those slots for which it is an ordinary one of 20 ms of G.711 or Opus.

        Args:
            slots: each at most once, ``(n,)``, n at least 1.
            stretched: slots that are stretched, a mask of all slots, cleared where that was done; None for
                none.
            out: ``(n, 480)``.
            settles: samples that slots hold are dropped where that is not heard.

        Returns:
            The rows that were left; None if there are none.
        """
        count = len(slots)
        self._look(count)
        self._books.settles = settles
        left = self._play(
            self._at, self._addresses[3].of(slots), count, None if stretched is None else address(stretched),
            self._addresses[4].of(out), self._rest_at,
        )  # fmt: skip
        if self._books.faults:
            self._formats.bank(_OPUS).faults += self._books.faults
            self._books.faults = 0
        return self._rest[:left].copy() if left else None

    def review(self, slots: Indices, held: Ints | None, now: int) -> None:
        """Do what :meth:`softswitch.rtp.jitter.JitterBuffer.review` does.

        Args:
            slots: open slots, ``(n,)``, n at least 1.
            held: units that each has decoded and not played, ``(n,)``; None for none.
            now: units by :meth:`softswitch.rtp.jitter.JitterBuffer.on_time`.
        """
        count, jitter = len(slots), self._sessions.jitter
        self._look(count)
        found = self._review(
            self._at, self._addresses[3].of(slots), count, now, None if held is None else address(held),
            self._rest_at,
        )  # fmt: skip
        if found > 0:
            jitter.judge(slots, self._rest[:count].copy(), now)
        elif found == 0:
            jitter.stretching = False

    def jitter(self, slot: int, now: int) -> int:
        """Do what :meth:`softswitch.rtp.delay.DelayMeter.jitter` does."""
        self._look(0)
        return self._jitter(self._at, slot, now)

    def take_stretched(self) -> int:
        """Return the pitch periods removed or inserted by :meth:`play` since the last call."""
        stretched: int = self._books.stretched
        if stretched:
            self._books.stretched = 0
        return stretched

    @staticmethod
    def makes(kind: int) -> bool:
        """Return True if packets of a kind of codec can be made here."""
        return kind < _LAWS

    def pack(self, kind: int, pcm: Pcm, slots: Indices) -> Packets:
        """Make a packet of G.711 for each slot; the next call overwrites them.

        Args:
            kind: kind of codec for which :meth:`makes` is true.
            pcm: 20 ms of each at the bus rate, ``(n, 480)``, n at least 1.
            slots: each at most once, ``(n,)``.
        """
        count = len(slots)
        if not self._books.past_down:
            self._formats.down(_RATE)
        self._look(count)
        made = self._made.get(kind)
        if made is None or len(made.rows) != count:
            made = self._made[kind] = _Made(count)
        by_slots, by_pcm = self._addresses[5:]
        self._pack(self._at, kind, by_slots.of(slots), count, by_pcm.of(pcm), made.at)
        return made.rows, made.lengths, slots

    def pack_opus(self, bank: OpusBank, pcm: Pcm, slots: Indices, levels: Ints | None) -> Packets:
        """Make a packet of Opus for each slot, as :meth:`OpusBank.encode` and :meth:`Senders.build` do.

        Args:
            bank: encodes.
            pcm: 20 ms of each at the bus rate, ``(n, 480)``, n at least 1.
            slots: each at most once, ``(n,)``.
            levels: -dBov of each, ``(n,)``, for slots that send the audio level; None where there are none.
        """
        count, pcm = len(slots), np.ascontiguousarray(pcm)
        self._look(count)
        encoders, fresh = bank.prepare(pcm, slots)
        frames = np.empty((count, FRAME), np.int16)
        out, lengths = np.empty((count, _ROW), np.uint8), np.empty(count, np.intp)
        if self._pack_opus(
            self._at, self._opus_encode, address(encoders), self._addresses[5].of(slots), count, address(pcm),
            None if levels is None else address(levels), address(frames), address(out), _ROW, LONGEST_PACKET,
            address(lengths),
        ):  # fmt: skip
            raise ValueError("libopus cannot encode 20 ms")
        bank.encoded(frames, slots, fresh)
        # As wide as the longest one: what follows copies whole rows.
        return out[:, : int(lengths.max())], lengths, slots

    def _look(self, count: int) -> None:
        """Follow arrays that were replaced, and make room for the rows that are left."""
        if self._revision != self._formats.revision or self._ring is not self._sessions.jitter.ring:
            self._note()
        if count > len(self._rest):
            self._rest = np.zeros(2 * count, np.intp)
            self._rest_at = address(self._rest)

    def _room_to_forward(self, count: int) -> Packets:
        """Return arrays for the packets to be forwarded, and write their addresses into the books."""
        books, width = self._books, HEADER + self._ring.shape[1]
        room = self._room
        if room is None or len(room[1]) < count or width != books.width:
            room = np.empty((count, width), np.uint8), np.empty(count, np.intp), np.empty(count, np.intp)
            self._room, self._room_at = room, tuple(address(part) for part in room)
            books.width = width
        books.forwarded, books.forwarded_lengths, books.forwarded_slots = self._room_at
        if count > len(self.gathered):
            self._make_room_to_convert(2 * count)
        return room

    def _make_room_to_convert(self, count: int) -> None:
        """Make arrays for the packets to be converted, and write their addresses into the books."""
        waiting = self.gathered = Gathered(count, self._ring.shape[1])
        books = self._books
        books.found, books.sorted = address(waiting.records[0]), address(waiting.records[1])
        books.payloads, books.payload_lengths = address(waiting.payloads), address(waiting.lengths)
        books.sources_of, books.targets_of = address(waiting.slots), address(waiting.targets)
        books.per_pair = address(waiting.per_pair)

    def _convert(self, transcoder: Transcoder) -> None:
        """Convert the packets gathered, and add what was made of them to those of the relays."""
        waiting, first = self.gathered, 0
        for pair, count in enumerate(waiting.per_pair.tolist()):
            if not count:
                continue
            some = slice(first, first + count)
            kind, other = divmod(pair, len(CODECS))
            payloads, lengths = waiting.payloads[some], waiting.lengths[some]
            slots, targets = waiting.slots[some], waiting.targets[some].copy()
            pcm = self._decoded(kind, transcoder.decoder(kind, other), payloads, lengths, slots)
            pcm = transcoder.resample_ordinary(kind, other, pcm, slots, targets)
            self._sessions.relays.add(self._encoded(other, pcm, first, targets))
            first += count

    def _decoded(self, kind: int, bank: Bank, payloads: Bytes, lengths: Indices, slots: Indices) -> Pcm:
        """Return packets of 20 ms decoded."""
        count, samples = len(slots), bank.sample_rate // 50
        if isinstance(bank, LinearBank):
            pcm = np.empty((count, samples), np.float32)
            sound, lost = bank.concealer.tables()
            by_sound, by_lost = self._memories[kind]
            if self._decode_law(
                self._books.laws[kind].decoding, by_sound.of(sound), by_lost.of(lost), address(payloads),
                payloads.shape[1], address(slots), count, address(pcm),
            ):  # fmt: skip
                return pcm
        elif isinstance(bank, OpusBank):
            pcm = np.empty((count, samples), np.float32)
            decoders = np.array(bank.decoders_of(slots), np.uint64)
            bank.faults += self._decode_opus(
                self._opus_decode, address(decoders), address(payloads), payloads.shape[1], address(lengths),
                count, samples, address(pcm),
            )  # fmt: skip
            return pcm
        return bank.decode(payloads, lengths, slots)[0]

    def _encoded(self, kind: int, pcm: Pcm, first: int, targets: Indices) -> Packets:
        """Return packets of 20 ms for the targets of the conversions from place `first` on."""
        count, pcm = len(targets), np.ascontiguousarray(pcm)
        if kind < _LAWS:
            out, lengths = np.empty((count, _PACKET), np.uint8), np.empty(count, np.intp)
            self._put_law(self._at, kind, first, count, address(pcm), address(out), _PACKET, address(lengths))
            return out, lengths, targets
        bank, lengths = self._formats.bank(kind), np.empty(count, np.intp)
        if isinstance(bank, OpusBank) and (found := bank.encoders_of(targets)) is not None:
            out, encoders = np.empty((count, HEADER + LONGEST_PACKET), np.uint8), np.array(found, np.uint64)
            if self._put_opus(
                self._at, self._opus_encode, address(encoders), first, count, address(pcm), address(out),
                out.shape[1], LONGEST_PACKET, address(lengths),
            ):  # fmt: skip
                raise ValueError("libopus cannot encode 20 ms")
            return out, lengths, targets
        payloads, octets = bank.encode(pcm, targets)
        out = np.empty((count, HEADER + payloads.shape[1]), np.uint8)
        # The rows of payloads need not follow each other, but the octets of the first one do.
        self._put_converted(
            self._at, first, count, address(payloads[0]), payloads.strides[0], address(octets),
            address(out), out.shape[1], address(lengths),
        )  # fmt: skip
        return out, lengths, targets

    def _note(self) -> None:
        """Write the addresses of all arrays into the books."""
        formats, sessions = self._formats, self._sessions
        jitter = sessions.jitter
        up, down = formats.between(_RATE)
        kept: dict[str, NDArray[Any]] = {
            **sessions.tables(),
            **(self.transcoder.tables() if self.transcoder is not None else {}),
            "ring": jitter.ring,
            "playing": self.playing,
            "held": self.held,
            "lines": self.lines,
            "patience": self.patience,
            "last": self.last,
            "left": np.zeros(len(self.playing), np.int64),
        }
        if up is not None:
            kept |= {"past_up": up.history, "taps_up": np.ascontiguousarray(up.phases[1:])}
        if down is not None:
            kept |= {"past_down": down.history, "taps_down": _taps_down(down.phases[0])}
        books = self._books
        for name, array in kept.items():
            setattr(books, name, array.ctypes.data)
        books.ring_width, books.batch = jitter.ring.shape[1], 0
        tables: list[NDArray[Any]] = []
        for kind in range(_LAWS):
            law, name, bank = books.laws[kind], CODECS[kind].name, formats.known(kind)
            law.decoding = DECODING[name].ctypes.data
            law.sound = law.lost = None
            if isinstance(bank, LinearBank):
                sound, lost = bank.concealer.tables()
                law.sound, law.lost = sound.ctypes.data, lost.ctypes.data
                tables += [sound, lost]
        books.room = self.lines.shape[1]
        opus = formats.known(_OPUS)
        books.opus_decode, books.decoders = self._opus_decode, None
        if isinstance(opus, OpusBank):
            books.decoders = address(opus.decoders)
            tables.append(opus.decoders)
        self._kept = [*kept.values(), *tables]
        self._revision, self._ring = formats.revision, jitter.ring
        self._make_room_to_convert(len(self.gathered))


def _taps_down(filter_: Pcm) -> Pcm:
    """Return the taps of the filter to a third of the rate that are not zero, the one in the middle last."""
    return np.concatenate((filter_[1::3], filter_[2::3], filter_[len(filter_) // 2 :][:1]))
