"""One plain socket with a DTLS association on it: where there is no ICE to say who may speak."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from aiortc import RTCCertificate

from softswitch.endpoints.aiortc_private import DtlsAssociation, MediaKeys
from softswitch.endpoints.source_filter import MAX_DATAGRAM, Drops, kind_of
from softswitch.media.sockets import Address, Source
from softswitch.sdp import Fingerprint

GRACE_S = 1.0
"""How long only the announced address is believed, seconds: so no stranger gets into a handshake, and who is
behind a NAT repeats what was lost (RFC 6347 section 4.2.4.1)."""

_READ = 2048
_SHORTEST = 8
"""Octets; neither RTCP nor DTLS is shorter."""


class DtlsSocketOwner(Protocol):
    """Whom a socket tells; all calls come from the event loop."""

    def media_arrived(self, socket: "DtlsSocket", datagram: bytes) -> None:
        """Take an encrypted RTP or RTCP datagram."""

    def source_changed(self, socket: "DtlsSocket") -> None:
        """Note that the far end turned out to be elsewhere."""

    def association_closed(self, socket: "DtlsSocket") -> None:
        """Note that the far end closed an established association."""


class DtlsSocket:
    """Reads a socket, tells DTLS from media, and lets nobody in but the far end."""

    def __init__(
        self,
        udp: socket.socket,
        far: Address,
        owner: DtlsSocketOwner,
        drops: Drops,
        clock: Callable[[], float],
    ) -> None:
        """Begin to read.

        Args:
            udp: bound, not blocking; stays its owner's.
            far: announced address of the far end.
            owner: whom it tells.
            drops: counters of what is dropped.
            clock: monotonic seconds.
        """
        self.udp = udp
        self.keys: MediaKeys | None = None
        self._owner, self._drops, self._clock = owner, drops, clock
        self.announced = far
        """Where the far end said it is."""
        self._source = Source(self._reachable(far))
        self._began = clock()
        self._dtls: DtlsAssociation | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(udp.fileno(), self._read)

    @property
    def target(self) -> Address:
        """Return where the far end is, as far as is known."""
        return self._source.target

    def move(self, far: Address) -> None:
        """Look for the far end elsewhere: it has announced another address."""
        self.announced = far
        self._source, self._began = Source(self._reachable(far)), self._clock()

    def associate(
        self,
        certificate: RTCCertificate,
        role: Literal["client", "server"],
        fingerprints: Sequence[Fingerprint],
    ) -> DtlsAssociation:
        """Return a new association, to be connected; the one of before must have been closed."""
        self.keys = None
        self._dtls = DtlsAssociation(certificate, role, fingerprints, self.send, self._closed)
        return self._dtls

    def is_current(self, association: DtlsAssociation) -> bool:
        """Tell whether no other association has taken its place."""
        return association is self._dtls

    async def dissociate(self) -> None:
        """Say goodbye, if there is anybody to say it to."""
        dtls, self._dtls = self._dtls, None
        if dtls is not None:
            await dtls.close()

    def send(self, datagram: bytes) -> bool:
        """Send to the far end; what the kernel would not take is lost, as on any network."""
        try:
            self.udp.sendto(datagram, self.target)
        except OSError:
            self._drops.unsent += 1
        return True

    async def close(self) -> None:
        """Stop reading; the socket itself stays open."""
        await self.dissociate()
        self._loop.remove_reader(self.udp.fileno())

    def _reachable(self, far: Address) -> Address:
        """Return an address as a socket of IPv6 that takes IPv4 too has it."""
        is_mapped = self.udp.family == socket.AF_INET6 and ":" not in far[0]
        return (f"::ffff:{far[0]}" if is_mapped else far[0]), far[1]

    def _read(self) -> None:
        try:
            datagram, sender = self.udp.recvfrom(_READ)
        except OSError:
            # Nothing there after all, or the ICMP answer to something sent.
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

    def _closed(self, association: DtlsAssociation) -> None:
        if association is self._dtls:
            self._owner.association_closed(self)
