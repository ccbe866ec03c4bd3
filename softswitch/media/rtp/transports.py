"""Transport of the packets of RTP ports: by sockets or delivered by the caller, with or without SRTP."""

import logging
import os
from collections.abc import Set as AbstractSet

from softswitch.audio.pcm import Bytes, Indices
from softswitch.compiled import library
from softswitch.media.messages import ConnectPlain, ConnectSecure
from softswitch.media.rtp.batch import Numbers
from softswitch.media.rtp.drain import Reception, Stray
from softswitch.media.rtp.ice_batch import IceBatch
from softswitch.media.rtp.link import Inbox, Link
from softswitch.media.rtp.passes import Passed, Passes
from softswitch.media.rtp.secure import SrtpPair
from softswitch.media.rtp.secure_batch import SecureBatch
from softswitch.media.rtp.sockets import MediaSocket
from softswitch.media.rtp.steady import unsent
from softswitch.rtp.packet import Packets

logger = logging.getLogger(__name__)


class Transports:
    """The links of all RTP ports."""

    def __init__(self, counters: dict[str, int]) -> None:
        """Begin without links; `counters` counts refused datagrams and failures to send."""
        self._counters = counters
        self._links: dict[int, Link] = {}
        self._relayed: AbstractSet[int] = frozenset()
        code = library()
        self._secure = SecureBatch(code) if code is not None else None
        """Decrypts what is delivered, and sends what goes to fixed addresses."""
        ice = IceBatch(code) if code is not None else None
        self._reception = Reception(self._refuse, secure=self._secure, ice=ice)

    def open(self, port: int, slot: int, inbox: Inbox) -> None:
        """Make a link that is not connected yet; delivered datagrams are queued in `inbox`."""
        self._links[slot] = Link(port, slot, inbox, is_relayed=slot in self._relayed)

    def connect_plain(self, slot: int, message: ConnectPlain) -> None:
        """Connect a link by sockets, with SRTP if the message has keys.

        Raises:
            ValueError: a key or the protection profile is wrong.
            PeerError: the remote address is not numeric.
            OSError: a descriptor is not a socket.
            In all cases the descriptors are closed.
        """
        keys = None
        try:
            if message.receive_key or message.send_key:
                keys = self._keys(slot, message)
        except ValueError:
            discard(message.fd)
            discard(message.rtcp_fd)
            raise
        try:
            media_socket = _socket(message.fd, message.remote_host, message.remote_port)
        except Exception:
            discard(message.rtcp_fd)
            raise
        try:
            control = _socket(
                message.rtcp_fd, message.remote_host, message.rtcp_remote_port or message.remote_port + 1
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

    def connect_secure(self, slot: int, message: ConnectSecure) -> None:
        """Connect a link whose datagrams are delivered by the caller (WebRTC).

        Raises:
            ValueError, PeerError, OSError: as for :meth:`connect_plain`.
        """
        try:
            keys, control_keys = self._keys(slot, message), None
            if message.rtcp_receive_key or message.rtcp_send_key:
                before = self._links[slot].control_keys
                control_keys = _session(
                    before, message.rtcp_receive_key, message.rtcp_send_key, message.profile
                )
        except ValueError:
            discard(message.fd)
            raise
        media_socket = (
            MediaSocket(message.fd, message.remote_host, message.remote_port) if message.fd >= 0 else None
        )
        link = self._links[slot]
        self._disconnect(link)
        link.keys, link.socket, link.control_keys = keys, media_socket, control_keys
        link.is_connected, link.is_polled = True, False
        link.is_shared = message.reads and media_socket is not None
        self._reception.join(link)
        if self._secure is not None and media_socket is not None:
            self._secure.add(slot, link.keys, media_socket)

    def _keys(self, slot: int, message: ConnectPlain | ConnectSecure) -> SrtpPair:
        """Return SRTP sessions for a message: those of the link if the keys have not changed."""
        before = self._links[slot].keys
        return _session(before, message.receive_key, message.send_key, message.profile)

    def close(self, slot: int) -> dict[str, int]:
        """Close a link and return its refused datagrams by counter."""
        link = self._links.pop(slot)
        self._disconnect(link)
        link.inbox.clear()
        return link.counts

    def relay(self, slots: AbstractSet[int]) -> None:
        """Set the slots that are relayed, which :meth:`receive` can drain alone."""
        for slot in slots ^ self._relayed:
            if link := self._links.get(slot):
                self._reception.relay(link, relayed=slot in slots)
        self._relayed = slots

    def receive(self, now: float, *, relayed_only: bool = False) -> list[Packets]:
        """Return the decrypted packets received since the last call.

        Args:
            now: monotonic seconds.
            relayed_only: only packets of relayed ports.

        Returns:
            Batches of packets; the next call overwrites them.
        """
        if not self._links:
            self._reception.rest(now)
            return []
        return self._reception.drain(now, relayed_only=relayed_only)

    def take_strays(self) -> list[Stray]:
        """Return the datagrams read from sockets of WebRTC that are not media of the remote party."""
        return self._reception.take_strays()

    def await_relayed(self, seconds: float) -> bool:
        """Wait for a packet of a relayed port; return False where none came within so many seconds."""
        return self._reception.await_relayed(seconds)

    def carry(
        self, passes: Passes, passed: float, until: float, *, period: float, margin: float
    ) -> Passed | None:
        """Relay ordinary packets in compiled code, with the arguments of :meth:`Passes.run`.

        Returns:
            How far that came; None where the packets of relayed ports come in other ways, too.
        """
        watched = self._reception.watched(until)
        if watched is None:
            return None
        done = passes.run(watched, passed, until, period=period, margin=margin)
        self._reception.passed_at = done.at
        return done

    def judged(self, done: Passed) -> Packets | None:
        """Return the packets that are not refused among those that passes have read and not taken in.

        What is not media comes from :meth:`take_strays` next.
        """
        if done.aside is not None:
            self._reception.judge_aside(done.aside)
        if done.read is None:
            return None
        return self._reception.judged_ice(done.read) if done.is_ice else self._reception.judged(done.read)

    def send(self, rows: Bytes, lengths: Indices, slots: Indices, datagrams: list[tuple[int, bytes]]) -> None:
        """Send packets, protected where the link is keyed.

        Args:
            rows: ``(n, stride)`` packets.
            lengths: bytes of each.
            slots: of the ports that send them.
            datagrams: gets (port, datagram) for links without a socket.
        """
        if len(self._reception.steady):
            others, failed = self._reception.steady.send(rows, lengths, slots)
            self._refuse_rows(failed, slots, "send_errors")
            if not len(others):
                return
            if len(others) < len(slots):
                rows, lengths, slots = rows[others], lengths[others], slots[others]
        self._send_others(rows, lengths, slots, datagrams)

    def send_rest(self, packets: Packets, errors: Numbers, datagrams: list[tuple[int, bytes]]) -> None:
        """Send those packets that connected sockets were not there for, and count those that were refused.

        Args:
            packets: as :meth:`send` takes them.
            errors: what came of each on a connected socket: 0, the errno or `NO_SOCKET`.
            datagrams: gets (port, datagram) for links without a socket.
        """
        rows, lengths, slots = packets
        others, failed = unsent(errors)
        self._refuse_rows(failed, slots, "send_errors")
        if len(others):
            self._send_others(rows[others], lengths[others], slots[others], datagrams)

    def _send_others(
        self, rows: Bytes, lengths: Indices, slots: Indices, datagrams: list[tuple[int, bytes]]
    ) -> None:
        """Send packets of links without a connected socket."""
        if self._secure is not None and len(self._secure):
            others, failed, refused = self._secure.send(rows, lengths, slots)
            self._refuse_rows(failed, slots, "send_errors")
            self._refuse_rows(refused, slots, "srtp_errors")
            if not len(others):
                return
            if len(others) < len(slots):
                rows, lengths, slots = rows[others], lengths[others], slots[others]
        data, stride, start, links = rows.tobytes(), rows.shape[1], 0, self._links
        for slot, length in zip(slots.tolist(), lengths.tolist(), strict=True):
            link = links.get(slot)
            if link is not None and link.is_connected:
                if link.keys is None and link.socket is None:
                    # As _send does, without a call.
                    datagrams.append((link.port, data[start : start + length]))
                else:
                    self._send(link, data[start : start + length], datagrams)
            start += stride

    def _refuse_rows(self, rows: Indices, slots: Indices, counter: str) -> None:
        for row in rows.tolist():
            self._refuse(self._links[int(slots[row])], counter)

    def send_control(
        self, rows: Bytes, lengths: Indices, slots: Indices, datagrams: list[tuple[int, bytes]]
    ) -> None:
        """Send RTCP, with the arguments of :meth:`send`, by the second socket where the link has one."""
        for row, slot, length in zip(rows, slots.tolist(), lengths.tolist(), strict=True):
            link = self._links.get(slot)
            if link is None or not link.is_connected:
                continue
            if link.control_keys is None:
                self._send(link, row[:length].tobytes(), datagrams, link.control)
            elif packet := self._protect(link, link.control_keys, row[:length].tobytes()):
                datagrams.append((link.port, packet))

    def stop(self) -> None:
        """Close all links."""
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
        """Return a packet encrypted; empty, and counted, if that failed."""
        try:
            return keys.protect(packet)
        except keys.error:
            self._refuse(link, "srtp_errors")
            return b""

    def _refuse(self, link: Link, counter: str, count: int = 1) -> None:
        self._counters[counter] += count
        link.counts[counter] = link.counts.get(counter, 0) + count

    def _disconnect(self, link: Link) -> None:
        self._reception.leave(link)
        if self._secure is not None:
            self._secure.remove(link.slot)
        for member in (link.socket, link.control):
            if member is not None:
                member.close()
        link.socket = link.control = link.control_keys = None
        link.is_polled = link.is_connected = link.is_shared = False


def discard(fd: int) -> None:
    """Close a descriptor that was handed over but is not used; -1 is ignored."""
    if fd >= 0:
        try:
            os.close(fd)
        except OSError as error:
            logger.warning("media socket not closed", extra={"error": str(error)})


def _session(before: SrtpPair | None, receive_key: bytes, send_key: bytes, profile: str) -> SrtpPair:
    """Return SRTP sessions for keys: those of `before` if the keys have not changed."""
    if before is not None and before.fits(receive_key, send_key, profile):
        return before
    return SrtpPair(receive_key, send_key, profile)


def _socket(fd: int, host: str, port: int) -> MediaSocket | None:
    """Return a socket for a descriptor, None for -1; raises as :class:`MediaSocket`."""
    return MediaSocket(fd, host, port) if fd >= 0 else None
