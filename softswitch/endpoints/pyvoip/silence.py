"""Whether anything arrives from a far end; the engine tells that of its own RTP ports, not of these."""

import asyncio
from collections.abc import Callable

from softswitch.call.reports import MediaResumed, MediaSilent, Report

SILENT_S = 3.0
"""As of the engine's ports."""
_LOOK_S = 1.0


class SilenceWatch:
    """Looks once a second when the last packet came, as long as a call lasts."""

    def __init__(
        self,
        leg: str,
        heard_at: Callable[[], float],
        report: Callable[[Report], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Begin to look.

        Args:
            leg: named in the reports.
            heard_at: returns when the last packet came, in the loop's time; 0 for never.
            report: takes what came of it.
            loop: its time is monotonic seconds.
        """
        self._leg = leg
        self._heard_at = heard_at
        self._report = report
        self._loop = loop
        self._since = loop.time()
        self._is_silent = self._is_held = False
        self._timer = loop.call_later(_LOOK_S, self._look)

    def hold(self, held: bool) -> None:
        """Expect nothing while the far end holds the call."""
        self._is_held, self._since = held, self._loop.time()

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_S, self._look)
        seconds = self._loop.time() - max(self._heard_at(), self._since)
        if self._is_silent and seconds < SILENT_S:
            self._is_silent = False
            self._report(MediaResumed(self._leg, seconds))
        elif not self._is_silent and not self._is_held and seconds >= SILENT_S:
            self._is_silent = True
            self._report(MediaSilent(self._leg, seconds))
