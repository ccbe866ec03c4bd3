"""Reads the datagrams of all RTP ports, from sockets or inboxes, into rows of one array, decrypted."""

import select
import time
from collections.abc import Callable

import numpy as np

from softswitch.media.rtp.batch import LONGEST, STRIDE, Batch, Rows, load
from softswitch.media.rtp.ice_batch import FAILED, MEDIA, REFUSED, STRAY, IceBatch
from softswitch.media.rtp.link import Link
from softswitch.media.rtp.passes import Watched
from softswitch.media.rtp.secure import REPLAYED, is_rtcp
from softswitch.media.rtp.secure_batch import SecureBatch
from softswitch.media.rtp.sockets import ROUNDS, SILENCE_S, Address, MediaSocket, Poller
from softswitch.media.rtp.steady import SteadySockets
from softswitch.rtp.packet import Packets

_NARROWEST = 16
"""Least width of rows, octets: at least a fixed RTP header of 12."""

_SHORTEST_RTCP = 8
"""Octets of the shortest RTCP packet: header and SSRC (RFC 3550 §6.4.2)."""

_FIRST_ROWS, _MOST_ROWS = 256, 16384
"""Rows at first, and at most (24 MB); datagrams beyond them stay in their sockets until the next tick."""

_STALE_S = 0.2
"""Pause since the last full drain from which on queued datagrams are thinned out, seconds."""

_FRESH = 8
"""Newest datagrams of a socket kept then (160 ms of audio); older ones are too late for any listener."""

_SMALL = 48
"""Octets up to which old datagrams are kept as well: telephone events and comfort noise, but not audio."""

_MOST_DELIVERED = ROUNDS
"""Most delivered datagrams taken from one inbox in one tick, as from one socket."""

_MOST_STALE = 1024
"""Most datagrams read from one socket while thinning out; the kernel buffers fewer."""

_REVIEW_S = 0.1
"""Time between two reviews of all sockets, which connect to steady sources and leave silent ones, seconds."""

JUST_PASSED_S = 0.005
"""Time since a compiled pass in which a tick leaves relayed sockets to the next pass, seconds."""

_STALL_S = 0.3
"""Silence after which sockets are disconnected where most of them are silent, seconds.

Then the machine or the network has stalled, and all of them would soon be connected again. No source may go
on from another port before RELATCH_S in any case.
"""

_MOST_SELECTED = 1024
"""Descriptors below this number can be waited for by select (FD_SETSIZE): it counts microseconds."""

_EPOLL_STEP_S = 0.001
"""Unit of the time that an epoll waits, rounded up, seconds."""

_MANY = 8
"""Number of silent sockets from which on they may be most of them."""


Stray = tuple[int, bytes, Address]
"""Port, datagram and its source."""


class Reception:
    """Drains sockets and inboxes; those of relayed ports can be drained alone, several times a tick."""

    def __init__(
        self,
        refuse: Callable[[Link, str, int], None],
        batch: Batch | None = None,
        secure: SecureBatch | None = None,
        ice: IceBatch | None = None,
    ) -> None:
        """Begin without links.

        Args:
            refuse: called with link, counter and number to count refused datagrams.
            batch: makes the system calls of connected sockets; None: the best that there is.
            secure: decrypts delivered packets; None: Python does.
            ice: reads sockets of ICE; None: Python does.
        """
        self._refuse, self._secure, self._ice = refuse, secure, ice
        self.steady = SteadySockets(batch or load())
        """Connected sockets, which are read and sent without addresses."""
        self._other_poller, self._relayed_poller = Poller(), Poller()
        self._shared_pollers = Poller(), Poller()
        """Sockets of ICE: of links that are not relayed, and of those that are."""
        self._strays: list[Stray] = []
        # An epoll of epolls: it is ready when one of them is.
        self._relayed_epoll = select.epoll()
        for watched in (self._relayed_poller, self.steady, self._shared_pollers[True]):
            self._relayed_epoll.register(watched.relayed_fd(), select.EPOLLIN)
        self._links: dict[MediaSocket, Link] = {}
        self._delivering: list[Link] = []
        self._drained = float("inf")
        """Monotonic seconds of the last drain of all links."""
        self.passed_at = -float("inf")
        """Monotonic seconds of the last compiled pass over the relayed sockets."""
        self._reviewed = 0.0
        """Monotonic seconds of the last review of the sockets."""
        self._searching: set[MediaSocket] = set()
        """Sockets of RTP that are read by themselves, because their source may still change."""
        self._unconfirmed: list[MediaSocket] = []
        """Connected sockets that may still hold datagrams from other addresses."""
        self._rows = Rows(_FIRST_ROWS)

    def join(self, link: Link) -> None:
        """Begin to drain a link."""
        if not link.is_polled:
            self._delivering.append(link)
            if link.is_shared and link.socket is not None:
                self._links[link.socket] = link
                self._watch(link, link.socket)
                if self._ice is not None:
                    self._ice.add(link)
            return
        for member in (link.socket, link.control):
            if member is not None:
                member.plain_slot = link.slot if link.keys is None and member is link.socket else -1
                self._links[member] = link
                self._watch(link, member)

    def leave(self, link: Link) -> None:
        """Stop draining a link; to be called before its sockets are closed."""
        if link in self._delivering:
            self._delivering.remove(link)
        for member in (link.socket, link.control):
            if member is not None and self._links.pop(member, None) is not None:
                self._unwatch(link, member)
                if self._ice is not None:
                    self._ice.remove(member)
                if member in self._unconfirmed:
                    self._unconfirmed.remove(member)

    def relay(self, link: Link, *, relayed: bool) -> None:
        """Set whether a link is relayed, hence drained more often."""
        media_socket = link.socket
        # RTCP is read as before, and what is delivered by the caller has no socket to watch.
        if media_socket is None or media_socket not in self._links:
            link.is_relayed = relayed
            return
        self._unwatch(link, media_socket)
        link.is_relayed = relayed
        self._watch(link, media_socket)

    def rest(self, now: float) -> None:
        """Note that there was no link: what comes to the next one has not waited for a late tick."""
        self._drained = now

    def drain(self, now: float, *, relayed_only: bool) -> list[Packets]:
        """Return the packets received since the last call.

        Args:
            now: monotonic seconds.
            relayed_only: only packets of relayed ports.

        Returns:
            Batches of packets; the next call overwrites them.
        """
        batches: list[Packets] = []
        lengths: list[int] = []
        slots: list[int] = []
        is_stale = now - self._drained > _STALE_S
        if is_stale:
            for is_relayed, poller in ((True, self._relayed_poller), (False, self._other_poller)):
                self._thin_out(poller.ready(), lengths, slots, now)
                self._thin_out(self.steady.ready(is_relayed=is_relayed), lengths, slots, now)
        if self._relayed_poller:
            self._drain_sockets(self._relayed_poller, lengths, slots, now)
        if not relayed_only:
            self._drained = now
            if self._other_poller:
                self._drain_sockets(self._other_poller, lengths, slots, now)
        taken = len(slots)
        if taken:
            rows = self._rows
            rows.lengths[:taken], rows.slots[:taken] = lengths, slots
        if self.steady.count(is_relayed=True) and (relayed_only or now - self.passed_at > JUST_PASSED_S):
            taken = self._drain_steady(taken, now, is_relayed=True)
        if not relayed_only:
            if self.steady.count(is_relayed=False):
                taken = self._drain_steady(taken, now, is_relayed=False)
            if now - self._reviewed >= _REVIEW_S:
                self._review(now)
        if taken:
            batches.append(self._rows.first(taken))
        taken = 0
        for is_relayed in (True,) if relayed_only else (True, False):
            if not (poller := self._shared_pollers[is_relayed]):
                continue
            if is_relayed and not relayed_only and now - self.passed_at <= JUST_PASSED_S:
                continue
            # After a stall Python reads all of them, since it thins out what has waited.
            if self._ice is None or is_stale:
                self._fill_inboxes(poller.ready(), is_stale=is_stale)
            else:
                taken = self._drain_ice(self._ice, poller, taken)
        if self._delivering and (batch := self._empty_inboxes(relayed_only=relayed_only, is_stale=is_stale)):
            batches.append(batch)
        if taken and self._ice is not None:
            batches.append(self._ice.first(taken))
        return batches

    def judged(self, read: tuple[int, int]) -> Packets | None:
        """Return those packets that compiled passes have read from connected sockets which are not refused.

        Args:
            read: rows read, and how many of them are to be judged.

        Returns:
            A batch, which the next call overwrites, or None.
        """
        taken, odd = read
        if odd:
            taken = self._sort_out(0, taken)
        return self._rows.first(taken) if taken else None

    def judged_ice(self, read: tuple[int, int]) -> Packets | None:
        """Do what :meth:`judged` does for sockets of ICE; what is not media becomes a stray."""
        taken, odd = read
        if self._ice is None:
            return None
        if odd:
            taken = self._sort_out_ice(self._ice, 0, taken)
        return self._ice.first(taken) if taken else None

    def judge_aside(self, aside: tuple[int, int]) -> None:
        """Hand on and refuse what passes have read from sockets of ICE that is not media.

        Args:
            aside: first and end of its rows.
        """
        if self._ice is not None:
            self._sort_out_ice(self._ice, *aside)

    def watched(self, until: float) -> Watched | None:
        """Return the sockets of relayed links, for compiled passes until then; None where they have none.

        None as well where others deliver the datagrams of a relayed link, which no epoll tells of, and after
        a stall, when most of what has waited is thrown away.
        """
        if until - self._drained > _STALE_S:
            return None
        members, shared = self.steady.count(is_relayed=True), self._shared_pollers[True]
        ice_members = len(shared) if self._ice is not None else 0
        if not (members or ice_members) or self._is_delivered():
            return None
        return Watched(
            self._relayed_epoll.fileno(), self.steady.relayed_fd(), members, self.steady.sockets, self._rows,
            self._ice if ice_members else None, shared.relayed_fd(), ice_members, self._secure,
        )  # fmt: skip

    def take_strays(self) -> list[Stray]:
        """Return what was read from sockets of ICE and is not media of the remote party."""
        strays, self._strays = self._strays, []
        return strays

    def await_relayed(self, seconds: float) -> bool:
        """Wait for a datagram of a relayed link.

        Returns:
            False where none came within so many seconds. True at once where others deliver the datagrams of a
            relayed link.
        """
        if self._is_delivered():
            return True
        watch = self._relayed_epoll.fileno()
        if watch < _MOST_SELECTED:
            return bool(select.select((watch,), (), (), seconds)[0])
        if seconds >= _EPOLL_STEP_S:
            return bool(self._relayed_epoll.poll(seconds - _EPOLL_STEP_S, 1))
        time.sleep(seconds)
        return False

    def _is_delivered(self) -> bool:
        """Return True where others deliver the datagrams of a relayed link."""
        return any(link.is_relayed and not link.is_shared for link in self._delivering)

    def close(self) -> None:
        """Close the epolls."""
        self._relayed_epoll.close()
        self._other_poller.close()
        self._relayed_poller.close()
        for poller in self._shared_pollers:
            poller.close()
        self.steady.close()

    def _review(self, now: float) -> None:
        """Connect and disconnect sockets, after all of them have been read."""
        self._reviewed = now
        for media_socket in self._unconfirmed:
            media_socket.confirm()
            if media_socket.is_filtered:
                link = self._links[media_socket]
                self._unwatch(link, media_socket)
                self._watch(link, media_socket)
        self._unconfirmed.clear()
        silent = self.steady.silent(now - SILENCE_S)
        if len(silent) >= max(_MANY, len(self.steady) // 2):
            silent = self.steady.silent(now - _STALL_S)
        for media_socket in silent:
            link = self._links[media_socket]
            self._unwatch(link, media_socket)
            self._look_at(link, media_socket, now)
            self._watch(link, media_socket)
        for media_socket in self._searching:
            self._look_at(self._links[media_socket], media_socket, now)

    def _look_at(self, link: Link, media_socket: MediaSocket, now: float) -> None:
        if not media_socket.review(now):
            self._refuse(link, "receive_errors", 1)
        if media_socket.is_connected and not media_socket.is_filtered:
            self._unconfirmed.append(media_socket)

    def _watch(self, link: Link, member: MediaSocket) -> None:
        """Read a socket from now on: together with others where it is filtered, else by itself."""
        if member.is_filtered and not link.is_shared:
            is_relayed = link.is_relayed and member is link.socket
            self.steady.add(member, link.slot, is_relayed=is_relayed, is_plain=link.keys is None)
            return
        self._poller(link, member).add(member)
        # RTCP comes too seldom for its socket to be worth the calls, and a shared one has a single source.
        if member is link.socket and not link.is_shared:
            self._searching.add(member)

    def _unwatch(self, link: Link, member: MediaSocket) -> None:
        if member in self.steady:
            self.steady.remove(member)
            return
        self._poller(link, member).remove(member)
        self._searching.discard(member)

    def _poller(self, link: Link, member: MediaSocket) -> Poller:
        is_relayed = link.is_relayed and member is link.socket
        if link.is_shared:
            return self._shared_pollers[is_relayed]
        return self._relayed_poller if is_relayed else self._other_poller

    def _drain_steady(self, taken: int, now: float, *, is_relayed: bool) -> int:
        """Read connected sockets into the rows behind those taken; return how many are taken then."""
        rounds = ROUNDS
        while rounds:
            more, rounds, odd = self.steady.receive(self._rows, taken, rounds, now, is_relayed=is_relayed)
            taken = self._sort_out(taken, taken + more) if odd else taken + more
            if rounds and not self._more_rows(taken):
                break
        return taken

    def _sort_out(self, first: int, end: int) -> int:
        """Decrypt and refuse among the rows from `first` to `end`; return the end of those kept."""
        rows, kept = self._rows, first
        for row in range(first, end):
            length, slot = int(rows.lengths[row]), int(rows.slots[row])
            media_socket = self.steady.member(int(rows.fds[row]))
            if length < 0:
                self._refuse(self._links[media_socket], "receive_errors", 1)
                continue
            if slot < 0 or not 0 < length <= LONGEST:
                opened: list[int] = []
                owner: list[int] = []
                self._accept(media_socket, rows.views[row], length, opened, owner)
                if not owner:
                    continue
                length, slot = opened[0], owner[0]
            if kept < row:
                rows.data[kept, :length] = rows.data[row, :length]
            rows.lengths[kept], rows.slots[kept] = length, slot
            kept += 1
        return kept

    def _drain_sockets(self, poller: Poller, lengths: list[int], slots: list[int], now: float) -> None:
        """Read datagrams into the free rows; append the length and slot of each."""
        for sockets in poller.rounds():
            if not self._room_for(len(slots), len(sockets)):
                return
            views = self._rows.views
            for media_socket in sockets:
                view = views[len(slots)]
                source = media_socket.source
                try:
                    length, sender = media_socket.udp.recvfrom_into(view)
                except OSError:
                    # An ICMP error caused by a sent datagram, say. If the remote party is gone, MediaSilent
                    # will be reported.
                    self._refuse(self._links[media_socket], "receive_errors", 1)
                    continue
                # The two cases of Source.accept, the common one without a call.
                if sender == source.address:
                    source.heard_at = now
                elif sender is None or not source.accept(sender[:2], now):
                    self._refuse(self._links[media_socket], "rejected_sources", 1)
                    continue
                if media_socket.plain_slot >= 0 and 0 < length <= LONGEST:
                    # As _accept does, without a call.
                    lengths.append(length)
                    slots.append(media_socket.plain_slot)
                else:
                    self._accept(media_socket, view, length, lengths, slots)

    def _accept(
        self, media_socket: MediaSocket, view: memoryview, length: int, lengths: list[int], slots: list[int]
    ) -> None:
        """Decrypt a datagram in its row, and append its length and slot unless it is refused."""
        link = self._links[media_socket]
        if link.keys is not None or media_socket is link.control:
            length = self._open(link, media_socket, view, length)
        if 0 < length <= LONGEST:
            lengths.append(length)
            slots.append(link.slot)
        elif length >= 0:
            self._refuse(link, "odd_datagrams", 1)

    def _thin_out(self, sockets: list[MediaSocket], lengths: list[int], slots: list[int], now: float) -> None:
        """Read everything queued in sockets; keep the newest datagrams of each, and small ones.

        Decoding or relaying seconds of queued audio of all legs would stall the process again, and no
        listener could use it.
        """
        for media_socket in sockets:
            kept = self._fresh(media_socket, now)
            if media_socket.is_filtered:
                self.steady.heard(media_socket)
            if not self._room_for(len(slots), len(kept)):
                return
            for datagram in kept:
                view = self._rows.views[len(slots)]
                view[: len(datagram)] = datagram
                self._accept(media_socket, view, len(datagram), lengths, slots)

    def _fresh(self, media_socket: MediaSocket, now: float) -> list[bytes]:
        """Empty a socket and return the datagrams to keep, in order of arrival."""
        link, waiting = self._links[media_socket], []
        for _ in range(_MOST_STALE):
            try:
                datagram, sender = media_socket.udp.recvfrom(STRIDE)
            except BlockingIOError:
                break
            except OSError:
                self._refuse(link, "receive_errors", 1)
                continue
            if media_socket.source.accept(sender[:2], now):
                waiting.append(datagram)
            else:
                self._refuse(link, "rejected_sources", 1)
        old = waiting[:-_FRESH]
        kept = [datagram for datagram in old if _is_kept(datagram)]
        if len(kept) < len(old):
            self._refuse(link, "stale_datagrams", len(old) - len(kept))
        return kept[-_FRESH:] + waiting[len(old) :]

    def _open(self, link: Link, media_socket: MediaSocket, view: memoryview, length: int) -> int:
        """Decrypt a datagram in place; return its new length, -1 if it was refused."""
        if media_socket is link.control and (length < _SHORTEST_RTCP or not is_rtcp(view)):
            # Audio has a socket of its own; the source of a packet here was not checked for audio.
            self._refuse(link, "odd_datagrams", 1)
            return -1
        if link.keys is None:
            return length
        plain = link.keys.unprotect(bytes(view[:length]))
        if isinstance(plain, str):
            self._refuse(link, plain, 1)
            return -1
        view[: len(plain)] = plain
        return len(plain)

    def _drain_ice(self, ice: IceBatch, poller: Poller, taken: int) -> int:
        """Read sockets of ICE into the rows behind those taken; return how many are taken then."""
        rounds = _MOST_DELIVERED
        while rounds:
            first, is_first = taken, rounds == _MOST_DELIVERED
            taken, odd, rounds, others = ice.receive(poller, rounds, first)
            if odd:
                taken = self._sort_out_ice(ice, first, taken)
            if others and is_first:
                self._fill_inboxes(poller.sockets(others), is_stale=False)
            if rounds and not ice.more(_MOST_ROWS, taken):
                break
        return taken

    def _sort_out_ice(self, ice: IceBatch, first: int, end: int) -> int:
        """Hand on and refuse among the rows from `first` to `end`; return the end of those kept."""
        rows, lengths, slots = ice.first(end)
        kinds = ice.kinds[first:end]
        for row in (first + np.flatnonzero(kinds != MEDIA)).tolist():
            link, kind, length = ice.link(int(slots[row])), int(ice.kinds[row]), int(lengths[row])
            if kind == STRAY:
                self._strays.append((link.port, rows[row, :length].tobytes(), ice.source(row)))
            elif kind == REFUSED:
                self._refuse(link, "srtp_replays" if -length in REPLAYED else "srtp_errors", 1)
            else:
                # An error is most often that of ICMP for a sent datagram.
                self._refuse(link, "receive_errors" if kind == FAILED else "odd_datagrams", 1)
        return ice.keep(first, first + np.flatnonzero(kinds == MEDIA))

    def _fill_inboxes(self, sockets: list[MediaSocket], *, is_stale: bool) -> None:
        """Read sockets of ICE: media of the remote party go into the inboxes, all else is stray."""
        for media_socket in sockets:
            link, signalled, read = self._links[media_socket], media_socket.source.signalled, media_socket.udp
            inbox = link.inbox
            for _ in range(_MOST_STALE if is_stale else _MOST_DELIVERED):
                try:
                    datagram, sender = read.recvfrom(STRIDE)
                except BlockingIOError:
                    break
                except OSError:
                    # An ICMP error caused by a sent datagram, say.
                    self._refuse(link, "receive_errors", 1)
                    continue
                # Media by the first octet, 128 to 191 (RFC 7983 section 7).
                if sender[:2] != signalled or not datagram or datagram[0] >> 6 != 2:
                    self._strays.append((link.port, datagram, sender[:2]))
                    continue
                if len(inbox) == inbox.maxlen:
                    self._refuse(link, "stale_datagrams", 1)
                inbox.append(datagram)

    def _empty_inboxes(self, *, relayed_only: bool, is_stale: bool) -> Packets | None:
        packets: list[bytes] = []
        slots: list[int] = []
        encrypted: list[tuple[int, int, Link]] = []
        for link in self._delivering:
            inbox = link.inbox
            if not inbox or (relayed_only and not link.is_relayed):
                continue
            if link.keys is None and len(inbox) == 1:
                # As below, for the most common case: one packet, which is not too old by any rule.
                packet = inbox.popleft()
                if 0 < len(packet) <= LONGEST:
                    packets.append(packet)
                    slots.append(link.slot)
                else:
                    self._refuse(link, "odd_datagrams", 1)
                continue
            old = max(len(inbox) - _FRESH, 0) if is_stale else 0
            for _ in range(min(len(inbox), old + _MOST_DELIVERED)):
                packet, old = inbox.popleft(), old - 1
                if old >= 0 and not _is_kept(packet):
                    self._refuse(link, "stale_datagrams", 1)
                    continue
                session = self._session_at(link, packet)
                plain = packet if link.keys is None or session else self._decrypted(link, packet)
                if plain is None:
                    continue
                # An empty one that should be encrypted is refused as such.
                if (0 if session else 1) <= len(plain) <= LONGEST:
                    packets.append(plain)
                    slots.append(link.slot)
                    if session:
                        encrypted.append((len(packets) - 1, session, link))
                else:
                    self._refuse(link, "odd_datagrams", 1)
        if not packets:
            return None
        sizes = list(map(len, packets))
        # Whole words, which libsrtp works on.
        width = (max(*sizes, _NARROWEST) + 3) // 4 * 4
        if min(sizes) < width:
            packets = [packet.ljust(width, b"\0") for packet in packets]
        rows = np.frombuffer(bytearray().join(packets), np.uint8).reshape(len(packets), width)
        batch = rows, np.array(sizes, np.intp), np.array(slots, np.intp)
        return self._opened(batch, encrypted) if encrypted else batch

    def _session_at(self, link: Link, packet: bytes) -> int:
        """Return the address of the session that decrypts a packet together with others; 0: none does."""
        if self._secure is None or link.keys is None:
            return 0
        if link.control_keys is not None and len(packet) > 1 and is_rtcp(packet):
            return link.control_keys.inbound_at
        return link.keys.inbound_at

    def _opened(self, batch: Packets, encrypted: list[tuple[int, int, Link]]) -> Packets | None:
        """Decrypt packets in their rows; return those that were not refused."""
        rows, lengths, slots = batch
        sessions = np.zeros(len(slots), np.int64)
        for row, session, _ in encrypted:
            sessions[row] = session
        if self._secure is None or not self._secure.open(rows, lengths, sessions):
            return batch
        for row, _, link in encrypted:
            if (status := -int(lengths[row])) > 0:
                self._refuse(link, "srtp_replays" if status in REPLAYED else "srtp_errors", 1)
        kept = np.flatnonzero(lengths > 0)
        return (rows[kept], lengths[kept], slots[kept]) if len(kept) else None

    def _decrypted(self, link: Link, packet: bytes) -> bytes | None:
        """Return a delivered packet decrypted, None if it was refused."""
        keys = link.keys
        if link.control_keys is not None and len(packet) > 1 and is_rtcp(packet):
            keys = link.control_keys
        plain = keys.unprotect(packet) if keys is not None else packet
        if isinstance(plain, str):
            self._refuse(link, plain, 1)
            return None
        return plain

    def _room_for(self, taken: int, more: int) -> bool:
        """Make rows for `more` datagrams behind those taken; return False beyond _MOST_ROWS."""
        while taken + more > len(self._rows):
            if not self._more_rows(taken):
                return False
        return True

    def _more_rows(self, taken: int) -> bool:
        """Double the rows, keeping those taken; return False at _MOST_ROWS."""
        rows = self._rows
        if len(rows) >= _MOST_ROWS:
            return False
        self._rows = Rows(2 * len(rows))
        for before, after in (
            (rows.data, self._rows.data),
            (rows.lengths, self._rows.lengths),
            (rows.slots, self._rows.slots),
        ):
            after[:taken] = before[:taken]
        return True


def _is_kept(datagram: bytes) -> bool:
    """Return True for a datagram that is kept however old it is, because it is not audio."""
    return len(datagram) <= _SMALL or is_rtcp(datagram)
