"""Delivery of the engine's output: frames, reports and datagrams by id, for all calls, once a tick."""

import logging
from collections.abc import Callable

from softswitch.media import messages as m

logger = logging.getLogger(__name__)

OnFrame = Callable[[bytes], None]
OnReport = Callable[[m.Report], None]


class Routes:
    """Receivers by ids of the engine; used on the event loop only."""

    def __init__(self) -> None:
        """Start without receivers."""
        self._frames: dict[int, OnFrame] = {}
        self._reports: dict[int, OnReport] = {}
        self._datagrams: dict[int, OnFrame] = {}
        self._roused: dict[int, Callable[[], None]] = {}
        self.failures = 0

    def __len__(self) -> int:
        """Return how many ids are routed."""
        tables = self._frames, self._reports, self._datagrams, self._roused
        return len({number for table in tables for number in table})

    def frames(self, number: int, to: OnFrame) -> None:
        """Route the audio of a port or tap."""
        self._frames[number] = to

    def reports(self, number: int, to: OnReport) -> None:
        """Route the reports of a port, track or recorder."""
        self._reports[number] = to

    def narrow(self, number: int, passes: Callable[[m.Report], bool]) -> None:
        """Keep reports of a port from its receiver unless they pass; without a receiver nothing happens."""
        to = self._reports.get(number)
        if to is not None:
            self._reports[number] = lambda report: to(report) if passes(report) else None

    def datagrams(self, number: int, to: OnFrame) -> None:
        """Route the datagrams of a port whose socket the engine does not have."""
        self._datagrams[number] = to

    def roused(self, number: int, to: Callable[[], None]) -> None:
        """Call a function where the socket that the engine serves for a port needs the event loop."""
        self._roused[number] = to

    def remove(self, number: int) -> None:
        """Remove the receivers of an id."""
        self._frames.pop(number, None)
        self._reports.pop(number, None)
        self._datagrams.pop(number, None)
        self._roused.pop(number, None)

    def deliver(self, output: m.Output) -> None:
        """Deliver the output of one tick; a receiver that fails is logged, the others go on."""
        for table, pairs in ((self._frames, output.frames), (self._datagrams, output.datagrams)):
            for number, data in pairs:
                to = table.get(number)
                if to is not None:
                    try:
                        to(data)
                    except Exception as error:  # noqa: BLE001  (one call's failure is not another's)
                        self._failed(error)
        for number in output.roused:
            look = self._roused.get(number)
            if look is not None:
                try:
                    look()
                except Exception as error:  # noqa: BLE001  (as above)
                    self._failed(error)
        for report in output.reports:
            try:
                receiver = self._reports.get(_subject(report))
                if receiver is not None:
                    receiver(report)
            except Exception as error:  # noqa: BLE001  (as above)
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        logger.error("a receiver of engine output failed", exc_info=error)


def _subject(report: m.Report) -> int:
    """Return the id of the port, track or recorder that a report is about."""
    match report:
        case m.PortReport():
            port: int = report.port
            return port
        case m.TrackReport():
            return report.track
        case m.RecorderClosed():
            return report.recorder
        case _:
            raise TypeError(f"{type(report).__name__} is about no port, track or recorder")
