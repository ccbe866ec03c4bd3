"""Pings to a peer that is silent, and the end of one that is dead (RFC 6455 section 5.5.2).

aiohttp has heartbeats of its own, but sets them back with every read: with the fifty messages a second of a
track this took an eighth of the loop's time. Here a few looks at a counter of reads serve the same purpose.
"""

import asyncio
from collections.abc import Callable
from typing import Final

_LOOKS: Final = 4
"""Looks at the counter in the time after which a silent peer is pinged."""
_DEAD: Final = _LOOKS + _LOOKS // 2
"""Looks without a read after which a peer is dead: half as long again as it was silent before the ping."""


class Heartbeat:
    """The watch over one peer: it runs from its making until :meth:`stop`, or until the peer is dead."""

    def __init__(
        self, heard: Callable[[], int], every_s: float, *, ping: Callable[[], None], dead: Callable[[], None]
    ) -> None:
        """Begin to watch.

        Args:
            heard: returns the number of reads so far.
            every_s: silence after which the peer is pinged, in seconds; it may be a quarter longer.
            ping: sends a ping.
            dead: called once, when half of `every_s` after a ping nothing has come.
        """
        self._heard, self._ping, self._dead = heard, ping, dead
        self._apart_s = every_s / _LOOKS
        self._last = heard()
        self._silent = 0
        """Looks since the last read."""
        self._timer = self._later()

    def stop(self) -> None:
        """End the watch; idempotent."""
        self._timer.cancel()

    def _later(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._apart_s, self._look)

    def _look(self) -> None:
        heard = self._heard()
        self._silent = self._silent + 1 if heard == self._last else 0
        self._last = heard
        if self._silent >= _DEAD:
            self._dead()
            return
        self._timer = self._later()
        if self._silent == _LOOKS:
            self._ping()
