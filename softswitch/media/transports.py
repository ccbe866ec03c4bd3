"""How the packets of RTP ports come and go: by sockets or delivered, with SRTP or without."""

import logging
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from pylibsrtp import Error as SrtpError

from softswitch.audio.pcm import Bytes, Indices
from softswitch.media.messages import ConnectPlain, ConnectSecure
from softswitch.media.needs import Packets
from softswitch.media.secure import SrtpPair, is_rtcp
from softswitch.media.sockets import MediaSocket, Poller

logger = logging.getLogger(__name__)

INBOX_DATAGRAMS = 64
"""Delivered datagrams that wait for the tick, per port: a second of audio, with room for RTCP."""

_STRIDE = 1536
"""Bytes of a row."""

_LONGEST = 1500
"""No packet of a telephone is longer; a datagram that is, is refused."""

_NARROWEST = 16
"""Least width of rows: a header must fit in."""

_FIRST_ROWS, _MOST_ROWS = 256, 16384

_SHORTEST_RTCP = 8

Inbox = deque[bytes]


def new_inbox() -> Inbox:
    """Return a queue for delivered datagrams; the oldest goes when it is full."""
    return deque(maxlen=INBOX_DATAGRAMS)


@dataclass(slots=True, eq=False)
class Link:
    """The way between a port and its far end."""

    port: int
    slot: int
    inbox: Inbox
    keys: SrtpPair | None = None
    socket: MediaSocket | None = None
    control: MediaSocket | None = None
    """The socket of RTCP, where it is not that of RTP."""
    control_keys: SrtpPair | None = None
    """Of RTCP, where they are not those of RTP."""
    is_connected: bool = False
    is_polled: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    """What was refused, by the name of its counter."""


class Transports:
    """The links of all RTP ports, and the rows their datagrams are read into."""

    def __init__(self, counters: dict[str, int]) -> None:
        """Begin without links; `counters` gets what is refused and what cannot be sent."""
        self._counters = counters
        self._links: dict[int, Link] = {}
        self._delivering: list[Link] = []
        self._by_socket: dict[MediaSocket, Link] = {}
        self._poller = Poller()
        self._make_rows(_FIRST_ROWS)

    def open(self, port: int, slot: int, inbox: Inbox) -> None:
        """Make a link that leads nowhere yet; what is delivered waits in `inbox`."""
        self._links[slot] = Link(port, slot, inbox)

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
        link.is_connected = True
        if media_socket is None:
            self._delivering.append(link)
            return
        for member in (media_socket, control):
            if member is not None:
                self._poller.add(member)
                self._by_socket[member] = link
        link.is_polled = True

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
        link.is_connected = True
        self._delivering.append(link)

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

    def receive(self, now: float) -> list[Packets]:
        """Return the plain packets that have come since the last call.

        Returns:
            Packets, in batches that the next call overwrites.
        """
        batches = []
        if len(self._poller) and (count := self._drain_sockets(now)):
            batches.append((self._rows[:count], self._lengths[:count], self._slots[:count]))
        if self._delivering and (batch := self._empty_inboxes()):
            batches.append(batch)
        return batches

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
                packet = data[start : start + length]
                if link.keys is None and link.socket is None:
                    datagrams.append((link.port, packet))
                else:
                    self._send(link, packet, datagrams)
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
        self._poller.close()

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

    def _drain_sockets(self, now: float) -> int:
        count = 0
        for media_socket in self._poller.ready():
            if count >= len(self._rows) and not self._more_rows():
                break
            count += self._read(media_socket, count, now)
        return count

    def _empty_inboxes(self) -> Packets | None:
        packets: list[bytes] = []
        slots: list[int] = []
        for link in self._delivering:
            inbox = link.inbox
            while inbox:
                packet = inbox.popleft()
                keys = link.keys
                if link.control_keys is not None and len(packet) > 1 and is_rtcp(packet):
                    keys = link.control_keys
                if keys is not None:
                    plain = keys.unprotect(packet)
                    if isinstance(plain, str):
                        self._refuse(link, plain)
                        continue
                    packet = plain
                if 0 < len(packet) <= _LONGEST:
                    packets.append(packet)
                    slots.append(link.slot)
                else:
                    self._refuse(link, "odd_datagrams")
        if not packets:
            return None
        lengths = np.fromiter(map(len, packets), np.intp, len(packets))
        width = max(int(lengths.max()), _NARROWEST)
        if lengths.min() < width:
            packets = [packet.ljust(width, b"\0") for packet in packets]
        rows = np.frombuffer(bytearray().join(packets), np.uint8).reshape(len(packets), width)
        return rows, lengths, np.array(slots, np.intp)

    def _read(self, media_socket: MediaSocket, row: int, now: float) -> int:
        link = self._by_socket[media_socket]
        try:
            length, sender = media_socket.udp.recvfrom_into(self._views[row])
        except OSError:
            # Such as the ICMP answer to what was sent: it tells of the far end, and media_silent will say so.
            self._refuse(link, "receive_errors")
            return 0
        if not media_socket.source.accept((sender[0], sender[1]), now):
            self._refuse(link, "rejected_sources")
            return 0
        if media_socket is link.control and (length < _SHORTEST_RTCP or not is_rtcp(self._views[row])):
            # Audio has its own socket; here nobody could tell whose it is.
            self._refuse(link, "odd_datagrams")
            return 0
        if link.keys is not None:
            plain = link.keys.unprotect(bytes(self._views[row][:length]))
            if isinstance(plain, str):
                self._refuse(link, plain)
                return 0
            length = len(plain)
            self._views[row][:length] = plain
        if not self._is_sane(link, length):
            return 0
        self._lengths[row], self._slots[row] = length, link.slot
        return 1

    def _is_sane(self, link: Link, length: int) -> bool:
        if 0 < length <= _LONGEST:
            return True
        self._refuse(link, "odd_datagrams")
        return False

    def _refuse(self, link: Link, counter: str) -> None:
        self._counters[counter] += 1
        link.counts[counter] = link.counts.get(counter, 0) + 1

    def _disconnect(self, link: Link) -> None:
        if link in self._delivering:
            self._delivering.remove(link)
        for member in (link.socket, link.control):
            if member is None:
                continue
            if link.is_polled:
                self._poller.remove(member)
                del self._by_socket[member]
            member.close()
        link.socket = link.control = link.control_keys = None
        link.is_polled = False

    def _more_rows(self) -> bool:
        if len(self._rows) >= _MOST_ROWS:
            return False
        rows, lengths, slots = self._rows, self._lengths, self._slots
        self._make_rows(2 * len(rows))
        self._rows[: len(rows)], self._lengths[: len(rows)], self._slots[: len(rows)] = rows, lengths, slots
        return True

    def _make_rows(self, count: int) -> None:
        self._rows: Bytes = np.zeros((count, _STRIDE), np.uint8)
        self._lengths: Indices = np.zeros(count, np.intp)
        self._slots: Indices = np.zeros(count, np.intp)
        self._views = list(_views(self._rows))


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


def _views(rows: Bytes) -> Iterator[memoryview]:
    for row in rows:
        yield memoryview(row)
