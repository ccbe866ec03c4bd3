"""How the packets of RTP ports come and go: by sockets or delivered, with SRTP or without."""

import logging
import os
from collections.abc import Set as AbstractSet

from pylibsrtp import Error as SrtpError

from softswitch.audio.pcm import Bytes, Indices
from softswitch.media.link import Inbox, Link
from softswitch.media.messages import ConnectPlain, ConnectSecure
from softswitch.media.needs import Packets
from softswitch.media.reception import Reception
from softswitch.media.secure import SrtpPair
from softswitch.media.sockets import MediaSocket

logger = logging.getLogger(__name__)


class Transports:
    """The links of all RTP ports."""

    def __init__(self, counters: dict[str, int]) -> None:
        """Begin without links; `counters` gets what is refused and what cannot be sent."""
        self._counters = counters
        self._links: dict[int, Link] = {}
        self._relayed: AbstractSet[int] = frozenset()
        self._reception = Reception(self._refuse)

    def open(self, port: int, slot: int, inbox: Inbox) -> None:
        """Make a link that leads nowhere yet; what is delivered waits in `inbox`."""
        self._links[slot] = Link(port, slot, inbox, is_relayed=slot in self._relayed)

    def connect_plain(self, slot: int, order: ConnectPlain) -> None:
        """Give a link its sockets, and its SRTP keys where there are some.

        Raises:
            ValueError, PeerError, OSError: a key, an address or a descriptor is wrong; the descriptors are
            closed.
        """
        keys = None
        try:
            if order.receive_key or order.send_key:
                keys = self._keys(slot, order)
        except ValueError:
            discard(order.fd)
            discard(order.rtcp_fd)
            raise
        try:
            media_socket = _socket(order.fd, order.remote_host, order.remote_port)
        except Exception:
            discard(order.rtcp_fd)
            raise
        try:
            control = _socket(
                order.rtcp_fd, order.remote_host, order.rtcp_remote_port or order.remote_port + 1
            )
        except Exception:
            if media_socket is not None:
                media_socket.close()
            raise
        link = self._links[slot]
        self._disconnect(link)
        link.keys, link.socket, link.control = keys, media_socket, control
        link.is_connected, link.is_polled = True, media_socket is not None
        self._reception.join(link)

    def connect_secure(self, slot: int, order: ConnectSecure) -> None:
        """Key a link whose datagrams are delivered.

        Raises:
            ValueError, PeerError, OSError: as for :meth:`connect_plain`.
        """
        try:
            keys, control_keys = self._keys(slot, order), None
            if order.rtcp_receive_key or order.rtcp_send_key:
                before = self._links[slot].control_keys
                control_keys = _session(before, order.rtcp_receive_key, order.rtcp_send_key, order.profile)
        except ValueError:
            discard(order.fd)
            raise
        media_socket = MediaSocket(order.fd, order.remote_host, order.remote_port) if order.fd >= 0 else None
        link = self._links[slot]
        self._disconnect(link)
        link.keys, link.socket, link.control_keys = keys, media_socket, control_keys
        link.is_connected, link.is_polled = True, False
        self._reception.join(link)

    def _keys(self, slot: int, order: ConnectPlain | ConnectSecure) -> SrtpPair:
        """Return the sessions for an order: those of the link where the keys have not changed."""
        before = self._links[slot].keys
        return _session(before, order.receive_key, order.send_key, order.profile)

    def close(self, slot: int) -> dict[str, int]:
        """Close a link and return what it refused, by counter."""
        link = self._links.pop(slot)
        self._disconnect(link)
        link.inbox.clear()
        return link.counts

    def relay(self, slots: AbstractSet[int]) -> None:
        """Say which ports are relayed: :meth:`receive` can be asked for what comes to those alone."""
        for slot in slots ^ self._relayed:
            if link := self._links.get(slot):
                self._reception.relay(link, relayed=slot in slots)
        self._relayed = slots

    def receive(self, now: float, *, hurrying: bool = False) -> list[Packets]:
        """Return the plain packets that have come since the last call.

        Args:
            now: monotonic seconds.
            hurrying: only what came to relayed ports.

        Returns:
            Packets, in batches that the next call overwrites.
        """
        return self._reception.drain(now, hurrying=hurrying)

    def send(self, rows: Bytes, lengths: Indices, slots: Indices, datagrams: list[tuple[int, bytes]]) -> None:
        """Send packets, protected where the link is keyed.

        Args:
            rows: ``(n, stride)`` packets.
            lengths: bytes of each.
            slots: of the ports that send them.
            datagrams: gets what has no socket to leave by.
        """
        data, stride, links = rows.tobytes(), rows.shape[1], self._links
        start = 0
        for slot, length in zip(slots.tolist(), lengths.tolist(), strict=True):
            link = links.get(slot)
            if link is not None and link.is_connected:
                packet, by = data[start : start + length], link.socket
                if link.keys is not None:
                    self._send(link, packet, datagrams)
                elif by is None:
                    datagrams.append((link.port, packet))
                elif not by.send(packet):
                    self._refuse(link, "send_errors")
            start += stride

    def send_control(
        self, rows: Bytes, lengths: Indices, slots: Indices, datagrams: list[tuple[int, bytes]]
    ) -> None:
        """Send RTCP as :meth:`send` does RTP, by the port's second socket where it has one."""
        for row, slot, length in zip(rows, slots.tolist(), lengths.tolist(), strict=True):
            link = self._links.get(slot)
            if link is None or not link.is_connected:
                continue
            if link.control_keys is None:
                self._send(link, row[:length].tobytes(), datagrams, link.control)
            elif packet := self._protect(link, link.control_keys, row[:length].tobytes()):
                datagrams.append((link.port, packet))

    def stop(self) -> None:
        """Close everything."""
        for slot in list(self._links):
            self.close(slot)
        self._reception.close()

    def _send(
        self,
        link: Link,
        packet: bytes,
        datagrams: list[tuple[int, bytes]],
        control: MediaSocket | None = None,
    ) -> None:
        if link.keys is not None:
            packet = self._protect(link, link.keys, packet)
            if not packet:
                return
        by = control or link.socket
        if by is None:
            datagrams.append((link.port, packet))
        elif not by.send(packet):
            self._refuse(link, "send_errors")

    def _protect(self, link: Link, keys: SrtpPair, packet: bytes) -> bytes:
        """Return a packet encrypted, nothing where that failed."""
        try:
            return keys.protect(packet)
        except SrtpError:
            self._refuse(link, "srtp_errors")
            return b""

    def _refuse(self, link: Link, counter: str) -> None:
        self._counters[counter] += 1
        link.counts[counter] = link.counts.get(counter, 0) + 1

    def _disconnect(self, link: Link) -> None:
        self._reception.leave(link)
        for member in (link.socket, link.control):
            if member is not None:
                member.close()
        link.socket = link.control = link.control_keys = None
        link.is_polled = link.is_connected = False


def discard(fd: int) -> None:
    """Close a descriptor that was handed over for nothing."""
    if fd >= 0:
        try:
            os.close(fd)
        except OSError as error:
            logger.warning("descriptor not closed", extra={"error": str(error)})


def _session(before: SrtpPair | None, receive_key: bytes, send_key: bytes, profile: str) -> SrtpPair:
    """Return the sessions for keys: those of before where the keys have not changed."""
    if before is not None and before.fits(receive_key, send_key, profile):
        return before
    return SrtpPair(receive_key, send_key, profile)


def _socket(fd: int, host: str, port: int) -> MediaSocket | None:
    """Take a descriptor over where there is one; raise what :class:`MediaSocket` raises."""
    return MediaSocket(fd, host, port) if fd >= 0 else None
