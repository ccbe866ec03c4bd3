"""Log of one stream: what is wrong with its service; used by the modules of this package."""

import logging

from softswitch.call.interfaces import StreamRequest

logger = logging.getLogger(__name__)


class StreamLog:
    """Logs each kind of fault once for each stream: a service in error is in error all the time."""

    def __init__(self, request: StreamRequest) -> None:
        self._names = {"stream": request.stream, "call": request.call}
        self._warned: set[str] = set()

    def warn(self, what: str, detail: str) -> None:
        """Log a fault of the service, unless the same was logged before."""
        if what not in self._warned:
            self._warned.add(what)
            logger.warning(what, extra=self._names | {"detail": detail})

    def failed(self, what: str, error: BaseException) -> None:
        """Log a fault of the switch."""
        logger.error(what, exc_info=error, extra=self._names)
