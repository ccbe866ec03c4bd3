"""UDP: one socket for everybody, drained by the event loop."""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable

from softswitch.endpoints.sip.counters import SipCounters
from softswitch.endpoints.sip.transports.wire import LocalAddress, Receiver, plain_address
from softswitch.sip.flow import Flow
from softswitch.sip.framer import is_keep_alive

logger = logging.getLogger(__name__)

BURST = 64
"""Datagrams taken before other work of the loop gets its turn."""
BUFFER = 4_194_304
"""Octets that the kernel is asked to keep while the loop is busy: a burst of calls is not lost."""

# Linux tells of ICMP errors of an unconnected socket only when asked to (ip(7), ipv6(7)).
_IP_RECVERR = 11
_IPV6_RECVERR = 25


class UdpSocket:
    """The socket that all datagrams come to and leave from.

    asyncio's own transport loses a datagram whenever an earlier one's ICMP error is pending, and does not say
    whose error it was; trunks need to know, to try their next server at once.
    """

    def __init__(
        self,
        receiver: Receiver,
        unreachable: Callable[[str, int], None],
        local: LocalAddress,
        counters: SipCounters,
    ) -> None:
        """Hold no socket yet.

        Args:
            receiver: takes the datagrams.
            unreachable: told host and port whence an ICMP error came back.
            local: by which address a far end reaches us.
            counters: of all telephones.
        """
        self._receiver = receiver
        self._unreachable = unreachable
        self._local = local
        self._counters = counters
        self._socket: socket.socket | None = None
        self._mapped = False

    def open(self, host: str, port: int) -> int:
        """Bind to an address; return the port.

        Raises:
            OSError: the address is not ours, or the port is in use.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
            _ask_for_errors(opened)
            opened.bind((host, port))
        except OSError:
            opened.close()
            raise
        self._mapped = family == socket.AF_INET6 and host == "::"
        self._socket = opened
        asyncio.get_running_loop().add_reader(opened.fileno(), self._drain, opened)
        return int(opened.getsockname()[1])

    def close(self) -> None:
        """Give the socket back."""
        closing, self._socket = self._socket, None
        if closing is not None:
            asyncio.get_running_loop().remove_reader(closing.fileno())
            closing.close()

    def send(self, data: bytes, host: str, port: int) -> bool:
        """Send a datagram; False where it cannot leave now."""
        if self._socket is None:
            return False
        if self._mapped and ":" not in host:
            host = f"::ffff:{host}"
        for _ in range(2):  # a pending ICMP error of somebody else spoils the first attempt only
            try:
                self._socket.sendto(data, (host, port))
            except BlockingIOError:
                return False
            except OSError as error:
                logger.debug("a datagram could not be sent", extra={"error": str(error)})
                self._read_errors(self._socket)
            else:
                return True
        return False

    def _drain(self, opened: socket.socket) -> None:
        for count in range(BURST):
            if self._socket is not opened:
                return
            try:
                data, address = opened.recvfrom(65536)
            except BlockingIOError:
                if not count:  # woken by nothing but errors
                    self._read_errors(opened)
                return
            except OSError:
                self._read_errors(opened)
                continue
            self._take(data, plain_address(address[0]), address[1])

    def _take(self, data: bytes, host: str, port: int) -> None:
        if is_keep_alive(data):
            self._counters.keep_alives += 1
            return
        local_host, local_port = self._local("udp", host)
        self._receiver.message_received(
            data, Flow("udp", host, port, local_host=local_host, local_port=local_port)
        )

    def _read_errors(self, opened: socket.socket) -> None:
        """Tell of every far end from which an ICMP error came back (it is kept in a queue of its own)."""
        if not hasattr(socket, "MSG_ERRQUEUE"):
            return
        with contextlib.suppress(OSError):  # an empty queue is the usual end
            for _ in range(BURST):
                _, _, _, address = opened.recvmsg(0, 512, socket.MSG_ERRQUEUE)
                self._unreachable(plain_address(address[0]), address[1])


def _ask_for_errors(opened: socket.socket) -> None:
    if not sys.platform.startswith("linux"):
        return
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    with contextlib.suppress(OSError):  # an IPv6 socket that is no dual one refuses it
        opened.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
