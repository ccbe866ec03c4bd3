"""Conversions of ordinary packets in compiled code, for passes without Python.

``convert.c`` calls, one after the other, the functions that :class:`OrdinaryPackets` calls. Here are the
addresses that it needs: those of decoders, resampler and memories of a :class:`Transcoder`, and of the
encoders of the mix. What was not made yet, or is not in the table, Python converts. See docs/adr/0055.
"""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.bank import LinearBank
from softswitch.audio.codec import OPUS
from softswitch.audio.g711 import DECODING
from softswitch.audio.opus import LONGEST_PACKET, OpusBank, libopus_functions
from softswitch.audio.pcm import FRAME
from softswitch.compiled import Address, address
from softswitch.media.rtp.formats import CODECS, Formats
from softswitch.media.rtp.ordinary import OrdinaryPackets
from softswitch.media.rtp.transcode import Transcoder

_LAWS = 2
"""Kinds of G.711: the first two of :data:`CODECS`."""

_OPUS = CODECS.index(OPUS)
_NARROW = CODECS[0].sample_rate

_TABLES = (
    "per_pair", "payloads", "octets", "sources", "targets", "decoders", "encoders", "limited", "history",
    "last", "narrow", "wide", "codecs",
)  # fmt: skip


class _Law(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("decoding", "sound", "lost")]


class _Converter(ctypes.Structure):
    """``struct converter`` of convert.c."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("books", "per_pair", "payloads")),
        ("stride", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("octets", "sources", "targets")),
        ("laws", _Law * _LAWS),
        *((name, ctypes.c_void_p) for name in (
            "opus_decode", "opus_encode", "decoders", "encoders", "limited", "filter", "history",
        )),
        ("places", ctypes.c_int64),
        ("last", ctypes.c_void_p),
        ("most", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("narrow", "wide", "codecs")),
        ("faults", ctypes.c_int64),
    ]  # fmt: skip


class Converter:
    """The addresses of one plane that ``convert.c`` works on."""

    def __init__(self, formats: Formats, ordinary: OrdinaryPackets, transcoder: Transcoder) -> None:
        """Prepare for what `ordinary` gathers.

        Args:
            formats: has the encoders.
            ordinary: has the packets.
            transcoder: has the decoders and resamplers.
        """
        self._formats, self._ordinary, self._transcoder = formats, ordinary, transcoder
        self._table = _Converter(most=LONGEST_PACKET)
        self._at = ctypes.addressof(self._table)
        self._table.opus_decode, self._table.opus_encode = libopus_functions()
        self._noted: tuple[object, ...] = ()
        self._kept: dict[str, NDArray[Any]] = {}
        """Keeps the arrays alive whose addresses are in the table."""
        self._laws: list[NDArray[Any]] = []
        self._rough = Address()

    def table(self, count: int) -> int:
        """Return the address of the table, for compiled code that converts at most `count` packets at once.

        It may be used until the next call of a method of the objects that this one was made with.
        """
        books = self._ordinary.books(count)
        noted = self._ordinary.gathered, self._transcoder.revision, self._formats.revision
        if noted != self._noted:
            self._note()
            self._noted = noted
        self._table.books = books
        return self._at

    @property
    def rough(self) -> int:
        """Address of :attr:`Transcoder.rough`."""
        return self._rough.of(self._transcoder.rough)

    def count(self, converted: int) -> None:
        """Count what compiled code has converted, and what it could not decode."""
        self._transcoder.total += converted
        if self._table.faults:
            self._transcoder.decoder(_OPUS, 0).faults += self._table.faults
            self._table.faults = 0

    def _note(self) -> None:
        """Write the addresses of all arrays into the table."""
        table, gathered, transcoder = self._table, self._ordinary.gathered, self._transcoder
        count = len(gathered)
        kept: dict[str, NDArray[Any]] = {
            "per_pair": gathered.per_pair,
            "payloads": gathered.payloads,
            "octets": gathered.lengths,
            "sources": gathered.slots,
            "targets": gathered.targets,
            "last": transcoder.last,
            "narrow": np.empty((count, FRAME // 3), np.float32),
            "wide": np.empty((count, FRAME), np.float32),
            "codecs": np.empty(count, np.uint64),
        }
        table.stride = gathered.payloads.shape[1]
        table.filter, table.places = None, 0
        if isinstance(decoder := transcoder.known(_OPUS, _NARROW), OpusBank):
            kept["decoders"] = decoder.decoders
        if isinstance(encoder := self._formats.known(_OPUS), OpusBank):
            kept["encoders"], kept["limited"] = encoder.tables()
        if (resampler := transcoder.between(_NARROW, OPUS.sample_rate)) is not None and resampler.filter_at:
            kept["history"] = resampler.history
            table.filter, table.places = resampler.filter_at, len(resampler.history)
        for name in _TABLES:
            setattr(table, name, address(kept[name]) if name in kept else None)
        self._laws.clear()
        for kind in range(_LAWS):
            law, bank = table.laws[kind], transcoder.known(kind, _NARROW)
            law.sound = law.lost = None
            if isinstance(bank, LinearBank):
                decoding, (sound, lost) = DECODING[CODECS[kind].name], bank.concealer.tables()
                law.decoding, law.sound, law.lost = address(decoding), address(sound), address(lost)
                self._laws += decoding, sound, lost
        self._kept = kept
