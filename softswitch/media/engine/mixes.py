"""Mixing plan: each port hears its mix without itself, the tracks of that mix and those of its own call.

A port with an audience is heard by that audience alone: a supervisor who whispers to one party, or listens.
The others hear the same samples as without it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.mix import limit
from softswitch.audio.pcm import Indices, Pcm


class Member(Protocol):
    """The attributes of a port that decide how it is mixed."""

    @property
    def id(self) -> int:
        """Id of the port."""

    @property
    def mix(self) -> int:
        """Mix in which the port converses."""

    @property
    def own_mix(self) -> int:
        """Mix of the port's own call."""

    @property
    def speaks(self) -> bool:
        """True while the audio of the port is mixed for others."""

    @property
    def listens(self) -> bool:
        """True while the port receives a mix."""

    @property
    def audience(self) -> frozenset[int] | None:
        """Ids of the ports that hear it; None: all of its mix."""


class Steady(Protocol):
    """Tracks whose frames are added by compiled code."""

    def __len__(self) -> int:
        """Number of mixes with such tracks."""

    def add(
        self, hearers: "Mixing", heard: Pcm, sounding: NDArray[np.bool_], loud: NDArray[np.bool_]
    ) -> None:
        """Add the frames of the tracks; set the rows where one sounds, and where something was added."""


class _Sums:
    """Sums of groups of rows; groups of the same size are summed together: ten times faster."""

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        """Prepare the sums of `groups`, in the order of their size."""
        self._parts: list[tuple[Indices, int]] = []
        for size, some in groupby(groups, key=len):
            self._parts.append((_indices([row for group in some for row in group]), size))

    def of(self, said: Pcm) -> Pcm:
        """Return the sum of each group, ``(groups, samples)``."""
        sums = [
            said.take(rows, axis=0).reshape(-1, size, said.shape[1]).sum(axis=1) for rows, size in self._parts
        ]
        return sums[0] if len(sums) == 1 else np.concatenate(sums)


class Mixing:
    """Index arrays for one set of ports, computed when the set changes and used in every tick.

    Where one or two ports speak, others hear plain copies of rows, and those that only listen to two hear
    their sum. Any other mix is summed once, and each speaker hears the sum minus its own audio: n + n
    operations instead of n * (n - 1).
    """

    def __init__(self, members: Sequence[Member]) -> None:
        """Plan for `members`, in the order of the rows."""
        self._current: dict[int, list[int]] = defaultdict(list)
        self._home: dict[int, list[int]] = defaultdict(list)
        for row, member in enumerate(members):
            self._current[member.mix].append(row)
            if member.own_mix != member.mix:
                self._home[member.own_mix].append(row)
        self.has_speaker: NDArray[np.bool_] = np.zeros(0, np.bool_)
        """By row: another port of the same mix speaks."""
        self.unready = self._find_unready(members)
        """Mixes with ports of which none listens yet; their tracks wait."""
        self._plan(members)

    def mix(self, said: Pcm, heard: Pcm) -> None:
        """Write the sum of the other ports' audio for each row.

        Args:
            said: audio from each port, ``(rows, 480)``; zeros where a port does not speak.
            heard: audio to each port, ``(rows, 480)``, overwritten.
        """
        if self._partners.size:
            said.take(self._partners, axis=0, out=heard, mode="clip")
            return
        if self._sum_by_row.size:
            self._sums.of(said).take(self._sum_by_row, axis=0, out=heard, mode="clip")
            heard -= said
            return
        heard.fill(0.0)
        if self._copied.size:
            heard[self._copied] = said[self._sources]
        if self._listeners.size:
            heard[self._listeners] = self._sums.of(said)[self._sum_of]
            heard[self._minus] -= said[self._minus]
        for source, target in self._whispers:
            heard[target] += said[source]

    def hearing(self, mix: int) -> list[int]:
        """Return the rows that hear the tracks of a mix."""
        return self._current.get(mix, []) + self._home.get(mix, [])

    def add_tracks(
        self, frames: Mapping[int, Pcm], heard: Pcm, steady: Steady | None = None
    ) -> NDArray[np.bool_]:
        """Add the tracks to the audio of their listeners, and limit sums that became too loud.

        Args:
            frames: the frame ``(480,)`` of each mix in which a track sounds.
            heard: ``(rows, 480)``, changed in place.
            steady: more tracks, which add their frames themselves; None for none.

        Returns:
            By row: another port of the mix speaks, or a track sounds; not to be changed.
        """
        more = steady is not None and len(steady) > 0
        if not (frames or more):
            if self._has_sums:
                limit(heard, self._summed)
            return self.has_speaker
        sounding, loud = self.has_speaker.copy(), self._summed.copy()
        if steady is not None and more:
            steady.add(self, heard, sounding, loud)
        for table in (self._current, self._home):
            rows: list[int] = []
            sounds: list[Pcm] = []
            for mix, frame in frames.items():
                hearing = table.get(mix, ())
                rows += hearing
                sounds += [frame] * len(hearing)
            if rows:
                # Rows in a block are changed in place, others are copied out and back.
                block = rows == list(range(rows[0], rows[0] + len(rows)))
                where = slice(rows[0], rows[0] + len(rows)) if block else rows
                heard[where] += np.concatenate(sounds).reshape(len(rows), -1)
                sounding[rows] = loud[rows] = True
        limit(heard, loud)
        return sounding

    def _plan(self, members: Sequence[Member]) -> None:
        copied: list[int] = []
        sources: list[int] = []
        summed: list[tuple[list[int], list[int]]] = []
        minus: list[int] = []
        has_speaker = bytearray(len(members))
        for rows in self._current.values():
            talking = [row for row in rows if members[row].speaks and members[row].audience is None]
            for row in rows:
                has_speaker[row] = bool(talking) and talking != [row]
            others = [row for row in rows if row not in talking] if len(talking) <= 2 else rows
            if len(talking) == 2:
                # Each of two parties hears the other's samples exactly, without a sum that rounds.
                copied += talking
                sources += reversed(talking)
            if len(talking) == 1:
                copied += others
                sources += talking * len(others)
            elif talking and others:
                summed.append((talking, others))
                minus += talking if len(talking) > 2 else ()
        self._whispers = self._find_whispers(members)
        """Pairs of rows: a port, and one of its audience."""
        for _, target in self._whispers:
            has_speaker[target] = True
        self.has_speaker = np.frombuffer(has_speaker, np.bool_)
        if not (copied or summed or self._whispers):
            self._plan_silence(len(members))
            return
        self._copied, self._sources = _indices(copied), _indices(sources)
        summed.sort(key=lambda group: len(group[0]))
        listeners = [row for _, others in summed for row in others]
        sum_of = [index for index, (_, others) in enumerate(summed) for _ in others]
        self._sums, self._minus = _Sums([talking for talking, _ in summed]), _indices(minus)
        self._summed: NDArray[np.bool_] = np.zeros(len(members), np.bool_)
        """By row: it is a sum; a row that is the audio of one port passes the limiter unchanged."""
        self._summed[listeners + [target for _, target in self._whispers]] = True
        self._has_sums = bool(self._summed.any())
        order = np.argsort(self._copied)
        whole = len(copied) == len(members) and not self._whispers
        self._partners = self._sources[order] if whole else _indices(())
        """By row, where every row hears exactly one other row: that row; else empty."""
        self._listeners, self._sum_of = _indices(listeners), _indices(sum_of)
        alike = len(listeners) == len(minus) == len(members) and not self._whispers
        self._sum_by_row = self._sum_of[np.argsort(self._listeners)] if alike else _indices(())
        """By row, where every row hears a sum without itself: which one; else empty."""

    def _plan_silence(self, rows: int) -> None:
        """Do what :meth:`_plan` does where none hears another, as while calls ring or are relayed."""
        self._copied = self._sources = self._minus = self._partners = _NO_ROWS
        self._listeners = self._sum_of = self._sum_by_row = _NO_ROWS
        self._sums, self._summed, self._has_sums = _NO_SUMS, np.zeros(rows, np.bool_), False

    def _find_whispers(self, members: Sequence[Member]) -> tuple[tuple[int, int], ...]:
        found: list[tuple[int, int]] = []
        for row, member in enumerate(members):
            if member.audience and member.speaks:
                hearing = (other for other in self._current[member.mix] if other != row)
                found += [(row, other) for other in hearing if members[other].id in member.audience]
        return tuple(found)

    def _find_unready(self, members: Sequence[Member]) -> frozenset[int]:
        can_hear: dict[int, bool] = defaultdict(bool)
        for member in members:
            # A port that is a source only will never listen, so that tracks need not wait for it.
            if member.listens or not member.speaks:
                can_hear[member.mix] |= member.listens
                can_hear[member.own_mix] |= member.listens
        return frozenset(mix for mix, able in can_hear.items() if not able)


def _indices(rows: Sequence[int]) -> Indices:
    return np.array(rows, np.intp)


_NO_ROWS, _NO_SUMS = _indices(()), _Sums(())
