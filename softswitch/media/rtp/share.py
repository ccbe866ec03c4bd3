"""One encoding for many listeners: ports that hear the same in the same format share an encoder."""

from collections.abc import Iterable
from itertools import count

import numpy as np

from softswitch.audio.pcm import Indices
from softswitch.media.rtp.formats import Formats

Form = tuple[int, int, int, int]
"""What ports must have in common to share: kind of codec, ptime, bit rate, id of the level extension."""


class Sharing:
    """For each slot, the slot whose filter and encoder it uses: its own, or that of its group's leader."""

    def __init__(self, formats: Formats) -> None:
        """Share the encoders of `formats`."""
        self._formats = formats
        self._states: Indices = np.zeros(0, np.intp)
        self._leaders: dict[int, int] = {}
        self._forms: dict[int, Form] = {}
        self._age = count()
        self._ages: dict[int, int] = {}
        """Order in which slots were opened."""

    def __len__(self) -> int:
        """Number of slots that are in a group."""
        return len(self._leaders)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._states = np.concatenate((self._states, np.arange(len(self._states), slots)))

    def set_form(self, slot: int, form: Form) -> set[int]:
        """Set the form of a slot; it uses its own encoder until the next :meth:`arrange`.

        Returns:
            The slots of all groups, if they were dissolved.
        """
        dissolved = self._leave(slot)
        self._forms[slot] = form
        self._ages.setdefault(slot, next(self._age))
        return dissolved

    def close(self, slot: int) -> set[int]:
        """Remove a slot; return the other slots of all groups, if they were dissolved."""
        dissolved = self._leave(slot) - {slot}
        self._forms.pop(slot, None)
        self._ages.pop(slot, None)
        return dissolved

    def arrange(self, groups: Iterable[Iterable[int]]) -> set[int]:
        """Form groups: within each, slots of equal form share an encoder from now on.

        Args:
            groups: slots that hear the same; no slot is in two of them.

        Returns:
            The slots of the former and the new groups.
        """
        former = dict(self._leaders)
        self._dissolve()

        def rank(slot: int) -> tuple[bool, bool, int]:
            # Former leaders first, then former followers, then by age: a new leader whose encoder has another
            # history would make a step in the sound of those who follow it.
            return former.get(slot) != slot, slot not in former, self._ages[slot]

        for group in groups:
            leaders: dict[Form, int] = {}
            for slot in sorted(group, key=rank):
                self._leaders[slot] = leaders.setdefault(self._forms[slot], slot)
        for slot, leader in self._leaders.items():
            self._states[slot] = leader
        return former.keys() | self._leaders.keys()

    def state(self, slot: int) -> int:
        """Return the slot whose encoder a slot uses."""
        return int(self._states[slot])

    def members(self, state: int) -> list[int]:
        """Return the slots that use the encoder of the slot `state`, which uses its own."""
        if state not in self._leaders:
            return [state]
        members: list[int] = np.flatnonzero(self._states == state).tolist()
        return members

    def encoded(self, slots: Indices) -> tuple[Indices, Indices, Indices]:
        """Return the distinct encoder slots, the first row of each, and for each row its encoder's index."""
        return np.unique(self._states[slots], return_index=True, return_inverse=True)

    def _leave(self, slot: int) -> set[int]:
        """Dissolve all groups if a slot is in one; return their slots."""
        members = set(self._leaders) if slot in self._leaders else set()
        if members:
            self._dissolve()
        return members

    def _dissolve(self) -> None:
        """Dissolve all groups; each slot continues with a copy of its leader's state."""
        for slot, leader in self._leaders.items():
            self._states[slot] = slot
            if slot != leader:
                self._formats.copy_encoded(self._forms[slot][0], leader, slot)
        self._leaders.clear()
