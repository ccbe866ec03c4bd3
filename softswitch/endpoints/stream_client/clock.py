"""The time of day as messages carry it; made once a millisecond for all streams together."""

import time
from collections.abc import Callable

from softswitch.dialects.instants import rfc3339


class WallClock:
    """Says what time it is; the text is made anew only when it has changed."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """Read a clock that gives epoch seconds."""
        self._now = now
        self._at = -1
        self._text = ""
        self._data = b""

    def text(self) -> str:
        """Return the time as ISO 8601 text in UTC."""
        self._read()
        return self._text

    def data(self) -> bytes:
        """Return the same as bytes."""
        self._read()
        return self._data

    def _read(self) -> None:
        at = int(self._now() * 1000)
        if at != self._at:
            self._at, self._text = at, rfc3339(at)
            self._data = self._text.encode()
