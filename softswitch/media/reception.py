"""What comes to RTP ports, by sockets or delivered, as rows of plain packets."""

from collections.abc import Callable, Iterator

import numpy as np

from softswitch.audio.pcm import Bytes
from softswitch.media.link import Link
from softswitch.media.needs import Packets
from softswitch.media.secure import is_rtcp
from softswitch.media.sockets import MediaSocket, Poller

_STRIDE = 1536
"""Bytes of a row."""

_LONGEST = 1500
"""No packet of a telephone is longer; a datagram that is, is refused."""

_NARROWEST = 16
"""Least width of rows: a header must fit in."""

_SHORTEST_RTCP = 8

_FIRST_ROWS, _MOST_ROWS = 256, 16384


class Reception:
    """Drains sockets and queues; those of relayed ports also by themselves, since those are in a hurry."""

    def __init__(self, refuse: Callable[[Link, str], None]) -> None:
        """Begin with nothing to drain; `refuse` counts what is no good, by the name of its counter."""
        self._refuse = refuse
        self._polling, self._hurrying = Poller(), Poller()
        self._links: dict[MediaSocket, Link] = {}
        self._delivering: list[Link] = []
        self._make_rows(_FIRST_ROWS)

    def join(self, link: Link) -> None:
        """Begin to drain a link."""
        if not link.is_polled:
            self._delivering.append(link)
            return
        for member in (link.socket, link.control):
            if member is not None:
                self._links[member] = link
                self._poller(link, member).add(member)

    def leave(self, link: Link) -> None:
        """Drain a link no more; to be called before its sockets are closed."""
        if link in self._delivering:
            self._delivering.remove(link)
        for member in (link.socket, link.control):
            if member is not None and self._links.pop(member, None) is not None:
                self._poller(link, member).remove(member)

    def relay(self, link: Link, *, relayed: bool) -> None:
        """Say whether a link is in a hurry."""
        if link.is_connected:
            self.leave(link)
        link.is_relayed = relayed
        if link.is_connected:
            self.join(link)

    def drain(self, now: float, *, hurrying: bool) -> list[Packets]:
        """Return what has come since the last call.

        Args:
            now: monotonic seconds.
            hurrying: only what came to relayed ports.

        Returns:
            Packets, in batches that the next call overwrites.
        """
        batches: list[Packets] = []
        lengths: list[int] = []
        slots: list[int] = []
        self._drain_sockets(self._hurrying, lengths, slots, now)
        if not hurrying:
            self._drain_sockets(self._polling, lengths, slots, now)
        if slots:
            batches.append((self._rows[: len(slots)], np.array(lengths, np.intp), np.array(slots, np.intp)))
        if self._delivering and (batch := self._empty_inboxes(hurrying=hurrying)):
            batches.append(batch)
        return batches

    def close(self) -> None:
        """Free what watches the sockets."""
        self._polling.close()
        self._hurrying.close()

    def _poller(self, link: Link, member: MediaSocket) -> Poller:
        return self._hurrying if link.is_relayed and member is link.socket else self._polling

    def _drain_sockets(self, poller: Poller, lengths: list[int], slots: list[int], now: float) -> None:
        """Read what there is into the rows behind those already taken; note its length and whose it is."""
        for sockets in poller.rounds():
            while len(slots) + len(sockets) > len(self._views):
                if not self._more_rows(len(slots)):
                    return
            views = self._views
            for media_socket in sockets:
                link, view, source = self._links[media_socket], views[len(slots)], media_socket.source
                try:
                    length, sender = media_socket.udp.recvfrom_into(view)
                except OSError:
                    # Such as the ICMP answer to what was sent: it tells of the far end, and media_silent
                    # will say so.
                    self._refuse(link, "receive_errors")
                    continue
                if sender == source.address:
                    source.heard_at = now
                elif not source.accept(sender[:2], now):
                    self._refuse(link, "rejected_sources")
                    continue
                if link.keys is not None or media_socket is link.control:
                    length = self._open(link, media_socket, view, length)
                if 0 < length <= _LONGEST:
                    lengths.append(length)
                    slots.append(link.slot)
                elif length >= 0:
                    self._refuse(link, "odd_datagrams")

    def _open(self, link: Link, media_socket: MediaSocket, view: memoryview, length: int) -> int:
        """Make a datagram plain where it is; return its new length, -1 where it was refused."""
        if media_socket is link.control and (length < _SHORTEST_RTCP or not is_rtcp(view)):
            # Audio has its own socket; here nobody could tell whose it is.
            self._refuse(link, "odd_datagrams")
            return -1
        if link.keys is None:
            return length
        plain = link.keys.unprotect(bytes(view[:length]))
        if isinstance(plain, str):
            self._refuse(link, plain)
            return -1
        view[: len(plain)] = plain
        return len(plain)

    def _empty_inboxes(self, *, hurrying: bool) -> Packets | None:
        packets: list[bytes] = []
        slots: list[int] = []
        for link in self._delivering:
            inbox = link.inbox
            if not inbox or (hurrying and not link.is_relayed):
                continue
            while inbox:
                packet = inbox.popleft()
                plain = packet if link.keys is None else self._decrypted(link, packet)
                if plain is None:
                    continue
                if 0 < len(plain) <= _LONGEST:
                    packets.append(plain)
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

    def _decrypted(self, link: Link, packet: bytes) -> bytes | None:
        """Return a delivered packet in plain, None where it was refused."""
        keys = link.keys
        if link.control_keys is not None and len(packet) > 1 and is_rtcp(packet):
            keys = link.control_keys
        plain = keys.unprotect(packet) if keys is not None else packet
        if isinstance(plain, str):
            self._refuse(link, plain)
            return None
        return plain

    def _more_rows(self, taken: int) -> bool:
        """Make more rows, keeping those that are taken; False where there are enough for any tick."""
        if len(self._rows) >= _MOST_ROWS:
            return False
        rows = self._rows
        self._make_rows(2 * len(rows))
        self._rows[:taken] = rows[:taken]
        return True

    def _make_rows(self, count: int) -> None:
        self._rows: Bytes = np.zeros((count, _STRIDE), np.uint8)
        self._views = list(_views(self._rows))


def _views(rows: Bytes) -> Iterator[memoryview]:
    for row in rows:
        yield memoryview(row)
