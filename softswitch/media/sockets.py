"""UDP sockets of RTP ports: drained into rows of one array, without an exception or an object per packet."""

import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from softswitch.errors import PeerError

LEARNING_S = 3.0
"""After the first datagram a better source may still take over, seconds."""

RELATCH_S = 0.5
"""A source that was silent so long may go on from another port of the same address, seconds."""

_ROUNDS = 16
"""Datagrams taken from one socket in one tick; a flood beyond that is left to the kernel to drop."""

Address = tuple[str, int]


@dataclass(slots=True)
class Source:
    """Where a port's media comes from, learned from the packets themselves (symmetric RTP, RFC 4961).

    A signalled address may lie behind a NAT. So the first sender is believed, one at the signalled host more,
    one at the signalled port most, for three seconds; from then on nobody else is heard.
    """

    signalled: Address
    target: Address = field(init=False)
    """Where to send: the learned address, the signalled one before."""
    address: Address | None = None
    """The learned one."""
    heard_at: float = 0.0
    """When it was heard last."""
    rejected: int = 0
    """Datagrams from others."""
    _rank: int = 3
    _learned_at: float = 0.0

    def __post_init__(self) -> None:
        """Begin with what was signalled."""
        self.target = self.signalled

    def accept(self, sender: Address, now: float) -> bool:
        """Tell whether a datagram from `sender` is this port's."""
        if sender == self.address or (self._may_take_over(sender, now) and self._learn(sender, now)):
            self.heard_at = now
            return True
        self.rejected += 1
        return False

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
    """A datagram socket that belongs to the engine."""

    fd: int
    host: str
    """Numeric address of the far end: the tick must never ask a name server."""
    port: int
    udp: socket.socket = field(init=False)
    source: Source = field(init=False)

    def __post_init__(self) -> None:
        """Take the descriptor over.

        Raises:
            PeerError: host or port is no numeric address.
            OSError: fd is no socket.
        """
        self.udp = socket.socket(fileno=self.fd)
        try:
            family = ip_address(self.host).version
            if not 0 < self.port < 65536:
                raise ValueError(f"{self.port} is no port")
        except ValueError as error:
            self.udp.close()
            raise PeerError(f"remote address: {error}", field="remote_host") from error
        self.udp.setblocking(False)
        host = self.host
        if family == 4 and self.udp.family == socket.AF_INET6:
            host = f"::ffff:{host}"
        self.source = Source((host, self.port))

    def send(self, datagram: bytes | memoryview) -> bool:
        """Send to the far end; False where the kernel would not."""
        try:
            self.udp.sendto(datagram, self.source.target)
        except OSError:
            # A full buffer, or an ICMP answer to an earlier datagram: the packet is lost, as on any network.
            return False
        return True

    def close(self) -> None:
        """Give the descriptor back."""
        self.udp.close()


class Poller:
    """Says which sockets have something, so that none is read in vain."""

    def __init__(self) -> None:
        """Make an epoll with nothing in it."""
        self._epoll = select.epoll()
        self._members: dict[int, MediaSocket] = {}

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: MediaSocket) -> None:
        """Watch a socket."""
        fd = member.udp.fileno()
        self._epoll.register(fd, select.EPOLLIN)
        self._members[fd] = member

    def remove(self, member: MediaSocket) -> None:
        """Stop watching a socket; call it before it is closed."""
        fd = member.udp.fileno()
        del self._members[fd]
        self._epoll.unregister(fd)

    def rounds(self) -> Iterator[list[MediaSocket]]:
        """Yield the sockets that have a datagram, up to 16 times; the caller reads one of each every time."""
        members = self._members
        if not members:
            return
        for _ in range(_ROUNDS):
            events = self._epoll.poll(0, len(members))
            if not events:
                return
            yield [members[fd] for fd, _ in events if fd in members]

    def close(self) -> None:
        """Free the epoll itself."""
        self._epoll.close()
