"""One plain socket with a DTLS association: its source filter stands in for ICE."""

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from softswitch.legs.datagrams.icmp import SocketError
from softswitch.legs.datagrams.reader import DatagramReader
from softswitch.legs.webrtc import aiortc_private
from softswitch.legs.webrtc.aiortc_private import MediaKeys
from softswitch.legs.webrtc.source_filter import MAX_DATAGRAM, Drops, kind_of
from softswitch.media.rtp.sockets import Address, Source
from softswitch.sdp import Fingerprint

if TYPE_CHECKING:
    from aiortc import RTCCertificate

    from softswitch.legs.webrtc.aiortc_private import DtlsAssociation

GRACE_S = 1.0
"""Time in which only the announced address is accepted, in seconds: so no stranger gets into a handshake. A
peer behind a NAT repeats what was dropped (RFC 6347 section 4.2.4.1)."""

_READ = 2048
_SHORTEST = 8
"""Octets of the shortest RTCP or DTLS datagram."""


class DtlsSocketOwner(Protocol):
    """Receiver of the events of a socket; all calls come from the event loop."""

    def media_arrived(self, socket: "DtlsSocket", datagram: bytes) -> None:
        """Handle an encrypted RTP or RTCP datagram."""

    def source_changed(self, socket: "DtlsSocket") -> None:
        """Handle a peer that was found at another address than announced."""

    def association_closed(self, socket: "DtlsSocket") -> None:
        """Handle an established association that the peer has closed."""


class DtlsSocket:
    """Reader of one socket that tells DTLS from media, and drops what the peer did not send."""

    def __init__(
        self,
        udp: socket.socket,
        remote: Address,
        owner: DtlsSocketOwner,
        drops: Drops,
        clock: Callable[[], float],
    ) -> None:
        """Begin to read.

        Args:
            udp: bound and not blocking; its owner closes it.
            remote: announced address of the peer.
            owner: receives the events of the socket.
            drops: counters of dropped datagrams.
            clock: monotonic seconds.
        """
        self.udp = udp
        self.keys: MediaKeys | None = None
        self._owner, self._drops, self._clock = owner, drops, clock
        self.announced = remote
        """The peer's address by its SDP."""
        self._source = Source(self._reachable(remote))
        self._began = clock()
        self._dtls: DtlsAssociation | None = None
        self._reader = DatagramReader(udp, self._read, self._failed)

    @property
    def target(self) -> Address:
        """Return the peer's address as learned, else as announced."""
        return self._source.target

    def move(self, remote: Address) -> None:
        """Expect the peer at another announced address."""
        self.announced = remote
        self._source, self._began = Source(self._reachable(remote)), self._clock()

    def associate(
        self,
        certificate: "RTCCertificate",
        role: Literal["client", "server"],
        fingerprints: Sequence[Fingerprint],
    ) -> "DtlsAssociation":
        """Return a new association, to be connected; the former one must have been closed."""
        self.keys = None
        self._dtls = aiortc_private.DtlsAssociation(certificate, role, fingerprints, self.send, self._closed)
        return self._dtls

    async def dissociate(self) -> None:
        """Close the association, if there is one."""
        dtls, self._dtls = self._dtls, None
        if dtls is not None:
            await dtls.close()

    def send(self, datagram: bytes) -> bool:
        """Send to the peer; a datagram that the kernel does not take is lost, and counted."""
        try:
            self.udp.sendto(datagram, self.target)
        except OSError:
            self._drops.unsent += 1
        return True

    async def close(self) -> None:
        """Stop reading; the socket itself stays open."""
        try:
            await self.dissociate()
        finally:
            self._reader.close()

    def _reachable(self, remote: Address) -> Address:
        """Return an address in the notation of the socket: IPv4-mapped for a dual-stack IPv6 socket."""
        is_mapped = self.udp.family == socket.AF_INET6 and ":" not in remote[0]
        return (f"::ffff:{remote[0]}" if is_mapped else remote[0]), remote[1]

    def _read(self) -> None:
        try:
            datagram, sender = self.udp.recvfrom(_READ)
        except OSError:
            # Nothing to read after all, or an ICMP error came in between.
            self._drops.unread += 1
            return
        if not datagram:
            self._drops.empty += 1
        elif len(datagram) > MAX_DATAGRAM:
            self._drops.oversized += 1
        elif len(datagram) < _SHORTEST:
            self._drops.unknown_kind += 1
        else:
            self._take(datagram, (sender[0], sender[1]))

    def _failed(self, error: SocketError) -> None:
        # A port that is closed now may be open at the next retransmission; lasting faults end in a timeout.
        del error
        self._drops.socket_errors += 1

    def _take(self, datagram: bytes, sender: Address) -> None:
        kind = kind_of(datagram)
        if kind not in {"dtls", "media"}:
            self._drops.unknown_kind += 1
            return
        if not self._admits(sender):
            self._drops.stranger += 1
            return
        if kind == "media":
            self._owner.media_arrived(self, datagram)
        elif self._dtls is not None and not self._dtls.feed(datagram):
            self._drops.dtls_overflow += 1

    def _admits(self, sender: Address) -> bool:
        now, before = self._clock(), self._source.address
        if sender != self._source.signalled and before is None and now - self._began < GRACE_S:
            return False
        if not self._source.accept(sender, now):
            return False
        if self._source.address != (before or self._source.signalled):
            self._owner.source_changed(self)
        return True

    def _closed(self, association: "DtlsAssociation") -> None:
        if association is self._dtls:
            self._owner.association_closed(self)
