"""One encoding for many listeners: who hears the same, and is sent the same, is encoded for once."""

from collections.abc import Iterable
from itertools import count

import numpy as np

from softswitch.audio.pcm import Indices
from softswitch.media.rtp_formats import Formats

Form = tuple[int, int, int, int]
"""What must be equal to be sent the same: kind, ptime, bit rate, level extension."""


class Sharing:
    """Whose filter and encoder each slot uses: its own, unless others hear the same."""

    def __init__(self, formats: Formats) -> None:
        """Share what `formats` encode."""
        self._formats = formats
        self._states: Indices = np.zeros(0, np.intp)
        self._leaders: dict[int, int] = {}
        self._forms: dict[int, Form] = {}
        self._age = count()
        self._ages: dict[int, int] = {}
        """In which order slots were opened."""

    def __len__(self) -> int:
        """Return how many slots share."""
        return len(self._leaders)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._states = np.concatenate((self._states, np.arange(len(self._states), slots)))

    def set_form(self, slot: int, form: Form) -> None:
        """Note how a slot is encoded; it does not share until the next :meth:`arrange`."""
        self._leave(slot)
        self._forms[slot] = form
        self._ages.setdefault(slot, next(self._age))

    def close(self, slot: int) -> None:
        """Forget a slot."""
        self._leave(slot)
        self._forms.pop(slot, None)
        self._ages.pop(slot, None)

    def arrange(self, groups: Iterable[Iterable[int]]) -> None:
        """Share within each of the groups from now on, as far as they are sent the same.

        Args:
            groups: slots that hear the same; no slot is in two of them.
        """
        former = dict(self._leaders)
        self._dissolve()

        def rank(slot: int) -> tuple[bool, bool, int]:
            # A leader whom the others have not followed so far would make a step in what they hear.
            return former.get(slot) != slot, slot not in former, self._ages[slot]

        for group in groups:
            leaders: dict[Form, int] = {}
            for slot in sorted(group, key=rank):
                self._leaders[slot] = leaders.setdefault(self._forms[slot], slot)
        for slot, leader in self._leaders.items():
            self._states[slot] = leader

    def encoded(self, slots: Indices) -> tuple[Indices, Indices, Indices]:
        """Return whose state is used for `slots`, each once; the row to be encoded for it; and each row's."""
        return np.unique(self._states[slots], return_index=True, return_inverse=True)

    def _leave(self, slot: int) -> None:
        if slot in self._leaders:
            self._dissolve()

    def _dissolve(self) -> None:
        """Let everybody go on alone, with what all have heard."""
        for slot, leader in self._leaders.items():
            self._states[slot] = slot
            if slot != leader:
                self._formats.copy_encoded(self._forms[slot][0], leader, slot)
        self._leaders.clear()
