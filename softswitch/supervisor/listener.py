"""The HTTP listener of a host: it accepts connections and hands their descriptors to workers."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from softswitch.errors import ListenError
from softswitch.settings import Http, listen_addresses, url_host

logger = logging.getLogger(__name__)

BACKLOG = 1024
BURST = 64
"""Connections accepted before other work of the loop gets its turn."""
PAUSE_S = 0.2
"""Pause where no worker takes a connection, or no descriptor is left, in seconds."""


class Listener:
    """Listening sockets of HTTP; a connection that no worker takes stays in the backlog of the kernel."""

    def __init__(self, give: Callable[[socket.socket], bool], takes: Callable[[], bool]) -> None:
        """Prepare.

        Args:
            give: Hands a connection to a worker; False where it could not.
            takes: Tells whether a worker takes connections.
        """
        self._give = give
        self._takes = takes
        self._sockets: list[socket.socket] = []
        self._pause: asyncio.TimerHandle | None = None
        self.port = 0
        self.accepted = self.refused = 0
        """Connections accepted, and those that were closed because no worker took them."""

    def open(self, http: Http) -> None:
        """Listen; raises ListenError."""
        self.port = http.port
        for address in listen_addresses(http.host):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                self._listen(family, address)
            except OSError as error:
                self.close()
                place = f"TCP {url_host(address)}:{http.port}"
                raise ListenError(
                    error, place, "choose another with --port or --host", section="http", key="port"
                ) from None
        self._watch()

    def close(self) -> None:
        """Stop listening."""
        if self._pause is not None:
            self._pause.cancel()
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.remove_reader(each.fileno())
            each.close()
        self._sockets.clear()

    def _listen(self, family: int, address: str) -> None:
        made = socket.socket(family, socket.SOCK_STREAM)
        self._sockets.append(made)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found = socket.getaddrinfo(address, self.port, family, socket.SOCK_STREAM)
        made.bind(found[0][4])
        made.listen(BACKLOG)
        self.port = made.getsockname()[1]

    def _watch(self) -> None:
        self._pause = None
        for each in self._sockets:
            asyncio.get_running_loop().add_reader(each.fileno(), self._accept, each)

    def _rest(self) -> None:
        """Leave connections in the backlog for a moment."""
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.remove_reader(each.fileno())
        if self._pause is None:
            self._pause = loop.call_later(PAUSE_S, self._watch)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(BURST):
            if not self._takes():
                self._rest()
                return
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    logger.error("connections are not accepted", extra={"error": str(error)})
                    self._rest()
                return
            with connection:
                self.accepted += 1
                if not self._give(connection):
                    self.refused += 1
