"""Tracks that play on without anything to decide: compiled code takes and adds their frames for some ticks.

Most tracks have nothing but audio before them for many ticks: no mark, no ramp, enough samples that are
resampled already. The tracks of such a mix get a *seat*, and ``bus.c`` plays all seats with one call a tick.
A seat ends before anything is to be decided, and before a message is carried out; the tracks then are where
they would be without it. Without compiled code nothing gets a seat. See docs/adr/0049.
"""

import ctypes
from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import FRAME, Indices, Pcm, Pcm16
from softswitch.compiled import Address, address, library, locked
from softswitch.media.tracks.track import FOREVER, Track

_SOURCES = 4
"""Most tracks of a mix that sound together in a seat."""

_LEAST = 3
"""Ticks below which a seat is not worth its while."""

_FEW = 16

_STREAM, _IDLE_STREAM = 1, 3
"""In place of the octets of a sample: a stream's track that plays from its queue, and one that waits."""


class Hearers(Protocol):
    """Who hears which mix; another set of rows is another object."""

    def hearing(self, mix: int) -> Sequence[int]:
        """Return the rows that hear the tracks of a mix; a row that is named twice hears them twice."""


Ints: TypeAlias = NDArray[np.int64]


class _Tracks(ctypes.Structure):
    """``struct tracks`` of bus.c."""

    _fields_ = [
        ("seats", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("left", "at", "size", "level", "first", "rows")),
    ]  # fmt: skip


class _Seat:
    """The tracks of a mix that sound in a seat, and how long they were to play."""

    __slots__ = ("idle", "kept", "ticks", "tracks")

    def __init__(self, tracks: list[Track], kept: list[Pcm | Pcm16], idle: list[Track], ticks: int) -> None:
        self.tracks = tracks
        self.kept = kept
        """Keeps the audio alive that the compiled code reads."""
        self.idle = idle
        """Tracks of streams that wait for audio."""
        self.ticks = ticks

    @property
    def has_streams(self) -> bool:
        """Whether compiled code looks at the seat before each tick."""
        return bool(self.idle) or any(track.queue is not None for track in self.tracks)


class SteadyTracks:
    """The seats of all mixes whose tracks are steady."""

    def __init__(self, code: ctypes.CDLL) -> None:
        """Begin without seats; `code` is the loaded library."""
        self._call = locked(code.softswitch_add_tracks, ctypes.c_int, [ctypes.c_void_p] * 5)
        self._check = locked(code.softswitch_check_tracks, ctypes.c_int, [ctypes.c_void_p] * 2)
        self._streams = 0
        """Seats with tracks of streams."""
        self._seats: dict[int, _Seat] = {}
        """Seats that are taken, by mix."""
        self._place: dict[int, int] = {}
        """Place of each mix that has had a seat, until it is forgotten."""
        self._free: list[int] = []
        self._mix_of: list[int] = []
        self._left: Ints = np.zeros(0, np.int64)
        self._at: Ints = np.zeros((0, _SOURCES), np.int64)
        self._size: Ints = np.zeros((0, _SOURCES), np.int64)
        self._level: Pcm = np.zeros((0, _SOURCES), np.float32)
        self._table = _Tracks()
        self._table_at = ctypes.addressof(self._table)
        self._hearers: Hearers | None = None
        self._heard, self._ended_at = Address(), 0
        self._ended: list[int] = []
        self._grow(_FEW)

    def __len__(self) -> int:
        """Number of mixes that have a seat."""
        return len(self._seats)

    def seat(self, mix: int, tracks: Sequence[Track]) -> bool:
        """Give the tracks of a mix a seat if all of them are steady for some ticks.

        Args:
            mix: mix without a seat.
            tracks: all tracks of the mix, moved on by the current tick.
        """
        # Only a track among others is ducked.
        ducked = len(tracks) > 1 and any(track.duck_to is None and track.is_sounding for track in tracks)
        ticks = FOREVER
        sounding: list[Track] = []
        idle: list[Track] = []
        for track in tracks:
            steady = track.steady_ticks(ducked)
            if steady < _LEAST:
                return False
            ticks = min(ticks, steady)
            if track.is_sounding:
                sounding.append(track)
            elif track.queue is not None:
                idle.append(track)
        if not 0 < len(sounding) + len(idle) <= _SOURCES:
            return False
        place = self._place_of(mix)
        kept = [track.ahead for track in sounding]
        sources = [
            (track.queue.at, _STREAM, track.level)
            if track.queue
            else (address(pcm), pcm.itemsize, track.level)
            for track, pcm in zip(sounding, kept, strict=True)
        ]
        sources += [(track.queue.at, _IDLE_STREAM, 0.0) for track in idle if track.queue]
        # Behind the last track there is no other: bus.c stops at the first 0.
        sources += [(0, 0, 0.0)] * (_SOURCES - len(sources))
        self._at[place], self._size[place], self._level[place] = zip(*sources, strict=True)
        self._left[place] = ticks
        seat = self._seats[mix] = _Seat(sounding, kept, idle, ticks)
        self._streams += seat.has_streams
        return True

    def end(self, mix: int) -> bool:
        """Take the seat of a mix away, moving its tracks on by what they played; return False without one."""
        seat = self._seats.pop(mix, None)
        if seat is None:
            return False
        place = self._place[mix]
        played = seat.ticks - int(self._left[place])
        self._left[place] = 0
        for track in seat.tracks:
            track.advance(played)
        for track in seat.idle:
            track.rest(played)
        self._streams -= seat.has_streams
        return True

    def unsteady(self) -> list[int]:
        """Return the mixes whose seats have to end before the next frame, because of a stream's track."""
        if not self._streams:
            return []
        count = self._check(self._table_at, self._ended_at)
        return [self._mix_of[place] for place in self._ended_places[:count].tolist()]

    def forget(self, mix: int) -> None:
        """Free the place of a mix that has no tracks any more, and no seat."""
        place = self._place.pop(mix, None)
        if place is not None:
            self._free.append(place)

    def take_ended(self) -> list[int]:
        """Return the mixes whose seats have played their last frame."""
        ended, self._ended = self._ended, []
        return ended

    def add(self, hearers: Hearers, heard: Pcm, sounding: NDArray[np.bool_], loud: NDArray[np.bool_]) -> None:
        """Add the next frame of each seat to the rows that hear it.

        Args:
            hearers: who hears which mix; the same object while the rows are the same.
            heard: ``(rows, 480)``, C-contiguous, changed in place.
            sounding: by row; set where a track sounds.
            loud: by row; set where something was added.
        """
        if hearers is not self._hearers:
            self._arrange(hearers)
        count = self._call(
            self._table_at, self._heard.of(heard), address(sounding), address(loud), self._ended_at
        )
        if count:
            # Their seats may be gone already: a place that is free has no ticks left, and does not end.
            self._ended += [self._mix_of[place] for place in self._ended_places[:count].tolist()]

    def _place_of(self, mix: int) -> int:
        place = self._place.get(mix)
        if place is None:
            if not self._free:
                self._grow(2 * len(self._mix_of))
            place = self._place[mix] = self._free.pop()
            self._mix_of[place] = mix
            self._hearers = None
        return place

    def _grow(self, places: int) -> None:
        more = places - len(self._mix_of)
        # The lowest place is taken first.
        self._free = list(range(places - 1, len(self._mix_of) - 1, -1))
        self._mix_of += [-1] * more
        self._left = np.pad(self._left, (0, more))
        self._at = np.pad(self._at, ((0, more), (0, 0)))
        self._size = np.pad(self._size, ((0, more), (0, 0)))
        self._level = np.pad(self._level, ((0, more), (0, 0)))
        self._ended_places: Indices = np.zeros(places, np.intp)
        self._ended_at = address(self._ended_places)
        table = self._table
        table.seats, table.left = places, address(self._left)
        table.at, table.size, table.level = address(self._at), address(self._size), address(self._level)
        self._hearers = None

    def _arrange(self, hearers: Hearers) -> None:
        """Note which rows hear each seat."""
        first, rows = [0], list[int]()
        for place, mix in enumerate(self._mix_of):
            if self._place.get(mix) == place:
                rows += hearers.hearing(mix)
            first.append(len(rows))
        self._first, self._rows = np.array(first, np.int64), np.array(rows, np.int64)
        self._table.first, self._table.rows = address(self._first), address(self._rows)
        self._hearers = hearers


def steady_tracks() -> SteadyTracks | None:
    """Return seats for tracks where there is compiled code."""
    code = library()
    return None if code is None else SteadyTracks(code)


assert FRAME == 480  # noqa: S101 - bus.c has it as a constant
