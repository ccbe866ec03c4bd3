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

    def set_form(self, slot: int, form: Form) -> None:
        """Set the form of a slot; it uses its own encoder until the next :meth:`arrange`."""
        self._leave(slot)
        self._forms[slot] = form
        self._ages.setdefault(slot, next(self._age))

    def close(self, slot: int) -> None:
        """Remove a slot."""
        self._leave(slot)
        self._forms.pop(slot, None)
        self._ages.pop(slot, None)

    def arrange(self, groups: Iterable[Iterable[int]]) -> None:
        """Form groups: within each, slots of equal form share an encoder from now on.

        Args:
            groups: slots that hear the same; no slot is in two of them.
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

    def encoded(self, slots: Indices) -> tuple[Indices, Indices, Indices]:
        """Return the distinct encoder slots, the first row of each, and for each row its encoder's index."""
        return np.unique(self._states[slots], return_index=True, return_inverse=True)

    def _leave(self, slot: int) -> None:
        if slot in self._leaders:
            self._dissolve()

    def _dissolve(self) -> None:
        """Dissolve all groups; each slot continues with a copy of its leader's state."""
        for slot, leader in self._leaders.items():
            self._states[slot] = slot
            if slot != leader:
                self._formats.copy_encoded(self._forms[slot][0], leader, slot)
        self._leaders.clear()
