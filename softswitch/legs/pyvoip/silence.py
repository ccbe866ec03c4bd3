"""Detection of silent peers on pyVoIP legs; the engine detects it on its own RTP ports only."""

import asyncio
from collections.abc import Callable

from softswitch.call.vocabulary.reports import MediaResumed, MediaSilent, Report

SILENT_S = 3.0
"""Silence that is reported, in seconds; as on the engine's ports."""
_LOOK_S = 1.0


class SilenceWatch:
    """Check of one call, once a second, for the time since the last packet."""

    def __init__(
        self,
        leg: str,
        heard_at: Callable[[], float],
        report: Callable[[Report], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Start to check.

        Args:
            leg: leg to name in reports.
            heard_at: returns the time of the last packet, in the loop's time; 0: never.
            report: takes `MediaSilent` and `MediaResumed`.
            loop: event loop; its time is monotonic seconds.
        """
        self._leg = leg
        self._heard_at = heard_at
        self._report = report
        self._loop = loop
        self._since = loop.time()
        self._is_silent = self._is_held = False
        self._timer = loop.call_later(_LOOK_S, self._look)

    def hold(self, held: bool) -> None:
        """Expect silence while the peer holds the call."""
        self._is_held, self._since = held, self._loop.time()

    def stop(self) -> None:
        """Stop to check."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(_LOOK_S, self._look)
        seconds = self._loop.time() - max(self._heard_at(), self._since)
        if self._is_silent and seconds < SILENT_S:
            self._is_silent = False
            self._report(MediaResumed(self._leg, self._loop.time(), seconds))
        elif not self._is_silent and not self._is_held and seconds >= SILENT_S:
            self._is_silent = True
            self._report(MediaSilent(self._leg, self._loop.time(), seconds))
