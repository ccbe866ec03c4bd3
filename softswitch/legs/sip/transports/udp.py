"""UDP transport: one socket for all peers, read by the event loop, with ICMP errors told apart by peer."""

import asyncio
import contextlib
import logging
import socket
import struct
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeVar

from softswitch.legs.datagrams.icmp import SocketError, allow_fragments, ask_for_errors
from softswitch.legs.datagrams.reader import DatagramReader
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.transports.wire import LocalAddress, Receiver, plain_address
from softswitch.sip.security.fair_queue import FairQueue
from softswitch.sip.syntax.framer import is_keep_alive
from softswitch.sip.transaction.flow import Flow

logger = logging.getLogger(__name__)

_Note = TypeVar("_Note")

BURST = 64
"""Datagrams handled before other work of the loop gets its turn."""
READS = 512
"""Datagrams read from the kernel in one turn: reading costs little, and what is not read is lost."""
TURN_S = 0.005
"""Time after which other work of the loop gets its turn even within a burst, in seconds."""
BUFFER = 4_194_304
"""Octets that the kernel buffers while the loop is busy: enough for a burst of calls."""
MOST_LARGE = 64
"""Large datagrams over IPv6 that are kept, the last one of each address: 4 MB at most."""
MOST_ADDRESSES = 4096
"""Addresses whose ICMP errors are believed, those sent to last: 1 MB at most."""
_ALWAYS_FITS = 1280 - 40 - 8
"""Octets that every IPv6 path carries in one piece (RFC 8200 section 5), less the IP and UDP headers."""

# The kernel has one notation of each address; settings may use another.
_plain = lru_cache(MOST_ADDRESSES)(plain_address)
# Ancillary data with the time of arrival in the kernel: seconds and nanoseconds (socket(7)).
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_RESPONSE = b"SIP/2.0 "
_ANCILLARY = socket.CMSG_SPACE(_TIMESPEC.size)
OLDEST_S = 60.0
"""Longest age that is believed, in seconds: the system clock may be set at any time."""


class _Datagram(NamedTuple):
    """A datagram that waits for its turn."""

    data: bytes
    host: str
    port: int
    came: float
    """When it arrived in the kernel, monotonic seconds."""


class UdpSocket:
    """The socket that all datagrams are received and sent by.

    asyncio's own transport loses a datagram whenever an ICMP error of an earlier one is pending, and does not
    tell whose error it was. Trunks need to know that, to try their next server at once.

    Datagrams of known sources are handled first, and those of others in turn, one of each, in at most half of
    the time: neither a registered phone nor an unknown one waits for a flood of others.
    """

    def __init__(
        self,
        receiver: Receiver,
        unreachable: Callable[[str, int], None],
        local: LocalAddress,
        counters: SipCounters,
        *,
        known: Callable[[str], bool],
    ) -> None:
        """Prepare without a socket; `open` comes next.

        Args:
            receiver: receives the datagrams.
            unreachable: called with host and port of a peer that an ICMP error reports as unreachable.
            local: returns the local address to announce to a peer.
            counters: of all SIP legs.
            known: tells whether a source address is known; so are those that requests were sent to.
        """
        self._is_known = known
        self._known: deque[_Datagram] = deque()
        self._strangers: FairQueue[_Datagram] = FairQueue()
        self._strangers_at = 0.0
        """When datagrams of unknown sources have their turn again, monotonic seconds."""
        self._asked: OrderedDict[tuple[str, int], str] = OrderedDict()
        """Addresses that requests were sent to, the latest last: their responses are awaited."""
        self._again: asyncio.Handle | None = None
        self._receiver = receiver
        self._unreachable = unreachable
        self._local = local
        self._counters = counters
        self._socket: socket.socket | None = None
        self._reader: DatagramReader | None = None
        self._mapped = False
        self._sent_to: OrderedDict[tuple[str, int], str] = OrderedDict()
        """Addresses that were sent to since their last error, and the notation of their hosts. Any sender can
        forge ICMP errors, and each that is believed costs a walk through all transactions."""
        self._large: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self.age_s = 0.0
        """Time that the datagram being handled has waited, in the kernel and here, in seconds."""
        self._read_age_s = 0.0
        """Time that the datagram read last waited in the kernel, in seconds."""
        self.on_wait: Callable[[float], None] = lambda age_s: None
        """Called with the time in the kernel of the first datagram of each turn, in seconds."""

    def open(self, host: str, port: int) -> int:
        """Bind to an address; return the port.

        Raises:
            OSError: the address is not local, or the port is in use.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
            ask_for_errors(opened)
            allow_fragments(opened)
            _ask_for_times(opened)
            opened.bind((host, port))
            self._reader = DatagramReader(opened, self._drain, self._failed)
        except OSError:
            opened.close()
            raise
        self._mapped = family == socket.AF_INET6 and host == "::"
        self._socket = opened
        return int(opened.getsockname()[1])

    def close(self) -> None:
        """Close the socket."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        closing, self._socket = self._socket, None
        if closing is not None:
            closing.close()
        self._large.clear()
        self._sent_to.clear()
        self._asked.clear()
        self._known.clear()
        self._strangers.clear()
        if self._again is not None:
            self._again.cancel()

    def send(self, data: bytes, host: str, port: int) -> bool:
        """Send a datagram; False where it cannot be sent now."""
        udp = self._socket
        if udp is None:
            return False
        written = f"::ffff:{host}" if self._mapped and ":" not in host else host
        for _ in range(2):  # a pending ICMP error of another peer fails the first attempt only
            try:
                udp.sendto(data, (written, port))
            except BlockingIOError:
                return False
            except OSError as error:
                logger.debug("a datagram could not be sent", extra={"error": str(error)})
            else:
                address = _plain(host), port
                _note(self._sent_to, address, host, MOST_ADDRESSES)
                if not data.startswith(_RESPONSE):
                    _note(self._asked, address, host, MOST_ADDRESSES)
                if len(data) > _ALWAYS_FITS and udp.family == socket.AF_INET6:
                    _note(self._large, address, data, MOST_LARGE)
                return True
        return False

    def catch_up(self) -> float:
        """Read the datagrams that wait, for one turn.

        Returns:
            The age in seconds of the datagrams that still wait, without those of unknown sources that were
            read; 0 where none waits.
        """
        if self._socket is None or self._take_turn(self._socket):
            return 0.0
        return max(time.monotonic() - self._known[0].came, 0.0) if self._known else self._read_age_s

    def _drain(self) -> None:
        if self._socket is not None:
            self._take_turn(self._socket)

    def _take_turn(self, opened: socket.socket) -> bool:
        """Read datagrams and handle some; return whether none is left but those of unknown sources."""
        now = time.monotonic()
        end = now + TURN_S
        is_empty = self._read(opened, now)
        self._handle(opened, end)
        if self._socket is not opened:
            return True
        self._plan()
        return is_empty and not self._known

    def _read(self, opened: socket.socket, now: float) -> bool:
        """Read datagrams from the kernel into the queues; return whether none is left there."""
        for count in range(READS):
            if len(self._known) >= BURST:
                return False
            try:
                data, ancillary, _, address = opened.recvmsg(65536, _ANCILLARY)
            except BlockingIOError:
                return True
            except OSError:  # a pending ICMP error; the reader reports it afterwards
                continue
            self._read_age_s = _age(ancillary)
            if not count:
                self.on_wait(self._read_age_s)
            if is_keep_alive(data):
                self._counters.keep_alives += 1
                continue
            host = plain_address(address[0])
            datagram = _Datagram(data, host, address[1], now - self._read_age_s)
            if (host, address[1]) in self._asked or self._is_known(host):
                self._known.append(datagram)
            elif not self._strangers.put(host, datagram, len(data)):
                self._counters.strangers_dropped += 1
        return False

    def _handle(self, opened: socket.socket, end: float) -> None:
        """Handle the datagrams of known sources, then those of others where it is their turn."""
        for _ in range(BURST):
            if not self._known:
                break
            self._take(self._known.popleft())
            if self._socket is not opened or time.monotonic() > end:
                return
        begin = time.monotonic()
        if self._known or begin < self._strangers_at:
            return
        for _ in range(BURST):
            datagram = self._strangers.take()
            if datagram is None:
                return
            self._take(datagram)
            if self._socket is not opened or time.monotonic() > end:
                break
        # As long as this took, other work has the processor.
        now = time.monotonic()
        self._strangers_at = now + (now - begin)

    def _plan(self) -> None:
        """Plan the next turn where the socket itself may not ask for one: for what was read and waits."""
        if self._again is not None or not (self._known or self._strangers):
            return
        loop = asyncio.get_running_loop()
        if self._known:
            self._again = loop.call_soon(self._go_on)
        else:
            self._again = loop.call_later(max(self._strangers_at - time.monotonic(), 0.0), self._go_on)

    def _go_on(self) -> None:
        self._again = None
        self._drain()

    def _take(self, datagram: _Datagram) -> None:
        self.age_s = max(time.monotonic() - datagram.came, 0.0)
        host = datagram.host
        local_host, local_port = self._local("udp", host)
        self._receiver.message_received(datagram.data, _flow(host, datagram.port, local_host, local_port))

    def _failed(self, error: SocketError) -> None:
        """Count an ICMP error; report the peer as unreachable, or send again what was too large."""
        counters, address = self._counters, (_plain(error.host), error.port)
        if error.kind == "unreachable":
            host = self._sent_to.pop(address, None)
            if host is None:
                counters.icmp_stray += 1
                return
            counters.icmp_unreachable += 1
            self._unreachable(host, error.port)
        elif error.kind == "too_big":
            counters.icmp_too_big += 1
            # The kernel knows the path's MTU now and splits the datagram; not every SIP message is
            # retransmitted.
            if self._socket is not None and (data := self._large.pop(address, None)) is not None:
                self.send(data, error.host, error.port)
                self._large.pop(address, None)  # once is enough: such errors can be forged
        else:
            counters.icmp_passing += 1


@lru_cache(MOST_ADDRESSES)
def _flow(host: str, port: int, local_host: str, local_port: int) -> Flow:
    """Return the flow of a peer: the same object for each of its datagrams."""
    return Flow("udp", host, port, local_host=local_host, local_port=local_port)


def _ask_for_times(opened: socket.socket) -> None:
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):  # a kernel without it: every age is 0
            opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def _age(ancillary: list[tuple[int, int, bytes]]) -> float:
    """Return the age of a datagram in seconds; 0 where the kernel does not tell."""
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(value)
            came = float(seconds) + float(nanoseconds) / 1e9
            return min(max(time.time() - came, 0.0), OLDEST_S)
    return 0.0


def _note(
    notes: OrderedDict[tuple[str, int], _Note], address: tuple[str, int], note: _Note, most: int
) -> None:
    """Remember a value for an address; drop the oldest where there are too many."""
    notes[address] = note
    notes.move_to_end(address)
    if len(notes) > most:
        notes.popitem(last=False)
