"""Reader of a UDP socket on the event loop that survives ICMP errors: for SIP, and for DTLS without ICE."""

import asyncio
import select
import socket
from collections.abc import Callable

from softswitch.legs.datagrams.icmp import SocketError, clear_error, kind_of_error, read_errors


class DatagramReader:
    """Watcher of one socket that goes on after ICMP errors on every event loop.

    libuv, under uvloop, stops watching a descriptor for good when epoll reports EPOLLERR for it, and one ICMP
    error is enough for that. The loop therefore watches an epoll instance that contains the socket: it is
    readable when the socket is ready, and has no errors itself.
    """

    def __init__(
        self,
        udp: socket.socket,
        readable: Callable[[], None],
        failed: Callable[[SocketError], None],
    ) -> None:
        """Start watching a socket on the running loop.

        Args:
            udp: bound and not blocking; its owner closes it, after the reader.
            readable: called while there are datagrams; reads some. It must expect OSError from every read,
                since an error may become pending between two, and may go on: the error is reported
                afterwards.
            failed: called with each error.

        Raises:
            OSError: no descriptor is left.
        """
        self._udp = udp
        self._readable = readable
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll(1)
        try:
            self._epoll.register(udp.fileno(), select.EPOLLIN)
            self._loop.add_reader(self._epoll.fileno(), self._woken)
        except OSError:
            self._epoll.close()
            raise

    def close(self) -> None:
        """Stop watching the socket, which stays open. Further calls do nothing."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _woken(self) -> None:
        if self._epoll.closed:
            return
        for _, events in self._epoll.poll(0, 1):
            # While an error is pending, the next read or send fails.
            number = clear_error(self._udp) if events & select.EPOLLERR else 0
            # Datagrams before errors: a peer may have answered before it closed its port.
            if events & select.EPOLLIN:
                self._readable()
            if events & select.EPOLLERR:
                self._report(number)

    def _report(self, number: int) -> None:
        """Report the errors in the queue, or else the pending one that was cleared."""
        if self._epoll.closed:
            return
        errors = read_errors(self._udp)
        if not errors and number:
            errors = [SocketError(kind_of_error(number), number)]
        for error in errors:
            self._failed(error)
