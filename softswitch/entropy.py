"""Random bytes of the system, drawn many at a time.

A call needs some thirty tokens (tags, branches, Call-IDs). A system call for each took six percent of the
time of a call.
"""

import os
from typing import Final

_DRAWN: Final = 4096


class EntropyPool:
    """Source of random bytes in the shape of `os.urandom`; each byte is given out once. For one thread.

    A process that forks must make a pool of its own afterwards.
    """

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def __call__(self, size: int) -> bytes:
        """Return so many random bytes."""
        end = self._at + size
        if end > len(self._bytes):
            self._bytes, self._at, end = os.urandom(max(_DRAWN, size)), 0, size
        drawn = self._bytes[self._at : end]
        self._at = end
        return drawn
