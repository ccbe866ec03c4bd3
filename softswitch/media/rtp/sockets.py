"""UDP sockets of RTP ports, the source address that each accepts, and the epoll that watches them."""

import ctypes
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address

from softswitch.errors import PeerError

LEARNING_S = 3.0
"""Time after the first datagram in which a better source may take over, seconds."""

RELATCH_S = 0.5
"""Silence after which a source may continue from another port of the same host (NAT rebinding), seconds."""

ROUNDS = 16
"""Most datagrams read from one socket in one tick (320 ms of audio); the kernel drops a flood beyond that."""

CONNECT_AFTER_S = 1.0
"""Time of steady reception after which a socket is connected to its source, seconds."""

SILENCE_S = 0.1
"""Silence of the source after which its socket is disconnected again, seconds: five packets of 20 ms."""

_connect = ctypes.CDLL(None, use_errno=True).connect
"""connect(2) itself: Python's cannot pass AF_UNSPEC, the address family that disconnects a datagram
socket."""

_UNSPECIFIED = bytes(16)
"""A struct sockaddr of the family AF_UNSPEC (0)."""

Address = tuple[str, int]


@lru_cache(1024)
def _version(host: str) -> int:
    """Return the IP version of a numeric address: most calls of a trunk have the same; raises ValueError."""
    return ip_address(host).version


@dataclass(slots=True)
class Source:
    """Source address of a port's media, learnt from received packets (symmetric RTP, RFC 4961).

    A signalled address may be a private one behind a NAT, so the first sender is accepted. Within LEARNING_S,
    a sender at the signalled host replaces it (rank 1), and a sender at the signalled host and port replaces
    both (rank 0). Later, other addresses are rejected; see RELATCH_S for the exception.
    """

    signalled: Address
    target: Address = field(init=False)
    """Address to send to: the learnt one, before that the signalled one."""
    address: Address | None = None
    """Learnt address."""
    heard_at: float = 0.0
    """Monotonic seconds of the last accepted datagram."""
    rejected: int = 0
    """Number of datagrams from other addresses."""
    _rank: int = 3
    _learned_at: float = 0.0

    def __post_init__(self) -> None:
        """Send to the signalled address at first."""
        self.target = self.signalled

    def accept(self, sender: Address, now: float) -> bool:
        """Return True if a datagram from `sender` belongs to this port; learn the address if so."""
        if sender == self.address or (self._may_take_over(sender, now) and self._learn(sender, now)):
            self.heard_at = now
            return True
        self.rejected += 1
        return False

    def is_settled(self, now: float) -> bool:
        """Return True once no other address may take over while this one keeps sending."""
        return self.address is not None and (self._rank == 0 or now - self._learned_at >= LEARNING_S)

    def _may_take_over(self, sender: Address, now: float) -> bool:
        if self.address is None:
            return True
        if now - self._learned_at < LEARNING_S:
            return self._rank_of(sender) < self._rank
        return sender[0] == self.address[0] and now - self.heard_at > RELATCH_S

    def _learn(self, sender: Address, now: float) -> bool:
        if self.address is None:
            self._learned_at = now
        self.address = self.target = sender
        self._rank = self._rank_of(sender)
        return True

    def _rank_of(self, sender: Address) -> int:
        if sender == self.signalled:
            return 0
        return 1 if sender[0] == self.signalled[0] else 2


@dataclass(slots=True, eq=False)
class MediaSocket:
    """A datagram socket owned by the engine.

    Once its source is settled and sends steadily, the socket is connected to it (connect(2)). The kernel then
    compares addresses and keeps the route, and neither reading nor sending handles an address in Python. A
    connected socket receives nothing from other addresses, so that it could not follow a source to a new port
    of its NAT. Therefore it is disconnected after :data:`SILENCE_S` without packets, before :class:`Source`
    would accept a new port.
    """

    fd: int
    host: str
    """Numeric address of the remote party: the tick must never wait for a name server."""
    port: int
    udp: socket.socket = field(init=False)
    source: Source = field(init=False)
    is_connected: bool = field(default=False, init=False)
    """The kernel delivers datagrams of the source only."""
    is_filtered: bool = field(default=False, init=False)
    """Connected, and the datagrams queued before, perhaps from other addresses, have been read."""
    plain_slot: int = field(default=-1, init=False)
    """Slot of the port if the socket carries unencrypted RTP, else -1; set by :class:`Reception`."""
    _steady_since: float = field(default=-1.0, init=False)
    """Monotonic seconds since which the source sends without a pause; negative: it has not been observed."""

    def __post_init__(self) -> None:
        """Take ownership of the descriptor.

        Raises:
            PeerError: host is not a numeric address, or port is not within 1-65535.
            OSError: fd is not a socket.
        """
        self.udp = socket.socket(fileno=self.fd)
        try:
            family = _version(self.host)
            if not 0 < self.port < 65536:
                raise ValueError(f"port {self.port} is not within 1-65535")
        except ValueError as error:
            self.udp.close()
            raise PeerError(f"remote address: {error}", field="remote_host") from error
        self.udp.setblocking(False)
        host = self.host
        # A dual-stack socket reports and takes IPv4 addresses in mapped form (RFC 4291 section 2.5.5.2).
        if family == 4 and self.udp.family == socket.AF_INET6:
            host = f"::ffff:{host}"
        self.source = Source((host, self.port))

    def send(self, datagram: bytes | memoryview) -> bool:
        """Send to the remote party; return False if the kernel refuses."""
        try:
            if self.is_connected:
                self._send_connected(datagram)
            else:
                self.udp.sendto(datagram, self.source.target)
        except OSError:
            # A full buffer, say: the packet counts as lost.
            return False
        return True

    def review(self, now: float) -> bool:
        """Connect the socket to a steady source, or disconnect it from a silent one; every few ticks.

        Args:
            now: monotonic seconds.

        Returns:
            False if the kernel refused to disconnect it.
        """
        source = self.source
        if now - source.heard_at > SILENCE_S:
            self._steady_since = now
            return not self.is_connected or self._disconnect()
        if not self.is_connected:
            if self._steady_since < 0.0:
                self._steady_since = now
            if now - self._steady_since >= CONNECT_AFTER_S and source.is_settled(now):
                self._connect_to_source(now)
        return True

    def confirm(self) -> None:
        """Find out whether a connected socket holds datagrams from before; to be called after reading it."""
        try:
            self.udp.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            self.is_filtered = True
        except OSError:
            # An ICMP error, which this call has cleared: ask again after the next reading.
            return

    def close(self) -> None:
        """Close the descriptor. Duplicates of it stay usable with any address."""
        if self.is_connected:
            self._disconnect()
        self.udp.close()

    def _send_connected(self, datagram: bytes | memoryview) -> None:
        try:
            self.udp.send(datagram)
        except ConnectionRefusedError:
            # An ICMP error for an earlier datagram, which the kernel reports once and instead of sending this
            # one.
            self.udp.send(datagram)

    def _connect_to_source(self, now: float) -> None:
        try:
            self.udp.connect(self.source.target)
        except OSError:
            # No route at this moment: go on with addresses, and try again later.
            self._steady_since = now
            return
        self.is_connected = True

    def _disconnect(self) -> bool:
        port = self.udp.getsockname()[1]
        if _connect(self.udp.fileno(), _UNSPECIFIED, len(_UNSPECIFIED)):
            return False
        self.is_connected = self.is_filtered = False
        host, bound = self.udp.getsockname()[:2]
        if bound == 0:
            # The kernel gives up a port that it had chosen itself (bind to port 0), but not the address: take
            # the port again.
            try:
                self.udp.bind((host, port))
            except OSError:
                return False
        return True


class Poller:
    """An epoll that finds the sockets with datagrams, so that no socket is read without need."""

    def __init__(self) -> None:
        """Make an empty epoll."""
        self._epoll = select.epoll()
        self._members: dict[int, MediaSocket] = {}

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: MediaSocket) -> None:
        """Begin to watch a socket."""
        fd = member.udp.fileno()
        self._epoll.register(fd, select.EPOLLIN)
        self._members[fd] = member

    def remove(self, member: MediaSocket) -> None:
        """Stop watching a socket; to be called before the socket is closed."""
        fd = member.udp.fileno()
        del self._members[fd]
        self._epoll.unregister(fd)

    def relayed_fd(self) -> int:
        """Return the descriptor of the epoll, to watch it where the sockets are relayed."""
        return self._epoll.fileno()

    def rounds(self) -> Iterator[list[MediaSocket]]:
        """Yield the sockets that have a datagram, up to 16 times; the caller reads one datagram of each."""
        members = self._members
        if not members:
            return
        for _ in range(ROUNDS):
            events = self._epoll.poll(0, len(members))
            if not events:
                return
            yield [members[fd] for fd, _ in events if fd in members]

    def ready(self) -> list[MediaSocket]:
        """Return the sockets that have at least one datagram."""
        if not self._members:
            return []
        events = self._epoll.poll(0, len(self._members))
        return [self._members[fd] for fd, _ in events if fd in self._members]

    def sockets(self, fds: list[int]) -> list[MediaSocket]:
        """Return the sockets of descriptors."""
        return [self._members[fd] for fd in fds if fd in self._members]

    def close(self) -> None:
        """Close the epoll."""
        self._epoll.close()
