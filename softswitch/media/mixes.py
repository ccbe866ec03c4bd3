"""Who hears whom: each port its mix without itself, the tracks of that mix and those of its own call."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.mix import limit
from softswitch.audio.pcm import Indices, Pcm


class Member(Protocol):
    """What must be known of a port to mix it."""

    @property
    def mix(self) -> int:
        """Return the mix it converses in."""

    @property
    def own_mix(self) -> int:
        """Return the mix of its call."""

    @property
    def speaks(self) -> bool:
        """Tell whether it can be heard."""

    @property
    def listens(self) -> bool:
        """Tell whether it can hear."""


class Mixing:
    """A plan for one set of ports, worked out when it changes and carried out every tick."""

    def __init__(self, members: Sequence[Member]) -> None:
        """Plan for `members`, whose order is that of the rows."""
        self._current: dict[int, list[int]] = defaultdict(list)
        self._home: dict[int, list[int]] = defaultdict(list)
        for row, member in enumerate(members):
            self._current[member.mix].append(row)
            if member.own_mix != member.mix:
                self._home[member.own_mix].append(row)
        self.has_company: NDArray[np.bool_] = np.zeros(len(members), np.bool_)
        """By row: somebody else in its mix can be heard."""
        self.unready = self._find_unready(members)
        """Mixes that have ports but none yet that can hear."""
        self._plan(members)

    def hear(self, said: Pcm, heard: Pcm) -> None:
        """Write what each row hears of the others.

        Args:
            said: what each port says, ``(rows, 480)``; zeros where it does not speak.
            heard: ``(rows, 480)``, overwritten.
        """
        if self._partners.size:
            np.take(said, self._partners, axis=0, out=heard, mode="clip")
            return
        heard.fill(0.0)
        if self._copied.size:
            heard[self._copied] = said[self._sources]
        if self._starts.size:
            sums = np.add.reduceat(said[self._speakers], self._starts, axis=0)
            heard[self._listeners] = sums[self._sum_of]
            heard[self._speakers] -= said[self._speakers]

    def add_tracks(self, frames: Mapping[int, Pcm], heard: Pcm) -> NDArray[np.bool_]:
        """Add the tracks to what is heard, and bend what became too loud.

        Args:
            frames: the frame ``(480,)`` of each mix in which a track sounds.
            heard: ``(rows, 480)``, changed in place.

        Returns:
            By row: there is something to hear, be it only the silence of somebody else.
        """
        sounding = self.has_company.copy()
        loud = set(self._summed)
        if frames:
            stack = np.stack(list(frames.values()))
            for table in (self._current, self._home):
                rows: list[int] = []
                which: list[int] = []
                for index, mix in enumerate(frames):
                    hearing = table.get(mix, ())
                    rows += hearing
                    which += [index] * len(hearing)
                if rows:
                    heard[rows] += stack[which]
                    sounding[rows] = True
                    loud.update(rows)
        self._bend(heard, loud)
        return sounding

    @staticmethod
    def _bend(heard: Pcm, loud: set[int]) -> None:
        """Limit the rows to which something was added; what one person says passes as it is."""
        if len(loud) == len(heard):
            limit(heard)
        elif loud:
            rows = sorted(loud)
            heard[rows] = limit(heard[rows])

    def _plan(self, members: Sequence[Member]) -> None:
        copied: list[int] = []
        sources: list[int] = []
        speakers: list[int] = []
        starts: list[int] = []
        listeners: list[int] = []
        sum_of: list[int] = []
        for rows in self._current.values():
            talking = [row for row in rows if members[row].speaks]
            for row in rows:
                self.has_company[row] = bool(talking) and talking != [row]
            if len(talking) == 1:
                others = [row for row in rows if row != talking[0]]
                copied += others
                sources += talking * len(others)
            elif len(talking) == 2 == len(rows):
                # The common call of two: what the other says, without a sum that rounds.
                copied += talking
                sources += reversed(talking)
            elif talking:
                listeners += rows
                sum_of += [len(starts)] * len(rows)
                starts.append(len(speakers))
                speakers += talking
        self._copied, self._sources = _indices(copied), _indices(sources)
        self._speakers, self._starts = _indices(speakers), _indices(starts)
        self._summed = listeners
        order = np.argsort(self._copied)
        whole = len(copied) == len(members)
        self._partners = self._sources[order] if whole else _indices(())
        """Where every row hears exactly one other: that one, by row."""
        self._listeners, self._sum_of = _indices(listeners), _indices(sum_of)

    def _find_unready(self, members: Sequence[Member]) -> frozenset[int]:
        can_hear: dict[int, bool] = defaultdict(bool)
        for member in members:
            # A source that will never listen does not keep anybody waiting.
            if member.listens or not member.speaks:
                can_hear[member.mix] |= member.listens
                can_hear[member.own_mix] |= member.listens
        return frozenset(mix for mix, able in can_hear.items() if not able)


def _indices(rows: Sequence[int]) -> Indices:
    return np.array(rows, np.intp)
