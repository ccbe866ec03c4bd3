"""Who gets what the engine hands out: frames and reports by id, all calls together, once per tick."""

import logging
from collections.abc import Callable

from softswitch.media import messages as m

logger = logging.getLogger(__name__)

OnFrame = Callable[[bytes], None]
OnReport = Callable[[m.Report], None]


class Routes:
    """Tables from ids of the engine to whom it concerns; used on the event loop only."""

    def __init__(self) -> None:
        """Start empty."""
        self._frames: dict[int, OnFrame] = {}
        self._reports: dict[int, OnReport] = {}
        self._datagrams: dict[int, OnFrame] = {}
        self.failures = 0

    def __len__(self) -> int:
        """Return how many ids are routed."""
        return len(self._frames.keys() | self._reports.keys() | self._datagrams.keys())

    def frames(self, number: int, to: OnFrame) -> None:
        """Route the audio of a port or tap."""
        self._frames[number] = to

    def reports(self, number: int, to: OnReport) -> None:
        """Route the reports of a port, track or recorder."""
        self._reports[number] = to

    def datagrams(self, number: int, to: OnFrame) -> None:
        """Route the datagrams of a port that the engine does not send by itself."""
        self._datagrams[number] = to

    def remove(self, number: int) -> None:
        """Forget an id."""
        self._frames.pop(number, None)
        self._reports.pop(number, None)
        self._datagrams.pop(number, None)

    def deliver(self, output: m.Output) -> None:
        """Hand out what one tick produced; one call's failure is logged and is not another's."""
        for table, pairs in ((self._frames, output.frames), (self._datagrams, output.datagrams)):
            for number, data in pairs:
                to = table.get(number)
                if to is not None:
                    try:
                        to(data)
                    except Exception as error:  # noqa: BLE001  (one call's failure is not another's)
                        self._failed(error)
        for report in output.reports:
            receiver = self._reports.get(_subject(report))
            if receiver is not None:
                try:
                    receiver(report)
                except Exception as error:  # noqa: BLE001  (as above)
                    self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        logger.error("a receiver of engine output failed", exc_info=error)


def _subject(report: m.Report) -> int:
    """Return the id that a report is about."""
    first: int = getattr(report, report.__struct_fields__[0])
    return first
