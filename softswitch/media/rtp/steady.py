"""The connected sockets of all steady sources: read and sent many at once, without addresses."""

import select

import numpy as np

from softswitch.audio.pcm import Bytes, Indices
from softswitch.media.rtp.batch import NO_SOCKET, Batch, Numbers, Rows, Sockets
from softswitch.media.rtp.sockets import MediaSocket


class SteadySockets:
    """Sockets for which :attr:`MediaSocket.is_filtered` holds, in tables by descriptor and by slot."""

    def __init__(self, batch: Batch) -> None:
        """Begin without sockets; `batch` makes the system calls."""
        self._batch, self._sockets = batch, Sockets()
        self._epolls = (select.epoll(), select.epoll())
        """Of sockets that are not relayed, and of those that are."""
        self._members: tuple[dict[int, MediaSocket], dict[int, MediaSocket]] = ({}, {})
        self._errors: Numbers = np.zeros(0, np.int32)
        self._fds: Indices | None = None
        """Descriptors of all sockets; None after a change."""

    def __contains__(self, member: MediaSocket) -> bool:
        fd = member.udp.fileno()
        mixed, relayed = self._members
        return mixed.get(fd) is member or relayed.get(fd) is member

    def __len__(self) -> int:
        return sum(map(len, self._members))

    def count(self, *, is_relayed: bool) -> int:
        """Return the number of relayed sockets, or of all others."""
        return len(self._members[is_relayed])

    def add(self, member: MediaSocket, slot: int, *, is_relayed: bool, is_plain: bool) -> None:
        """Take a socket in.

        Args:
            member: the socket; its descriptor stays the same until it is removed.
            slot: slot of its port.
            is_relayed: it is read between two ticks as well.
            is_plain: its datagrams are unencrypted, so that they may be sent as they are.
        """
        fd, sockets = member.udp.fileno(), self._sockets
        sockets.grow(fd, slot)
        self._epolls[is_relayed].register(fd, select.EPOLLIN)
        self._members[is_relayed][fd] = member
        self._fds = None
        sockets.heard_at[fd] = member.source.heard_at
        if is_plain:
            sockets.slot_of[fd], sockets.fd_of[slot] = slot, fd

    def remove(self, member: MediaSocket) -> None:
        """Let a socket go, which knows again when it was heard; to be called before it is closed."""
        fd, sockets = member.udp.fileno(), self._sockets
        for epoll, members in zip(self._epolls, self._members, strict=True):
            if members.get(fd) is member:
                epoll.unregister(fd)
                del members[fd]
                self._fds = None
                member.source.heard_at = float(sockets.heard_at[fd])
                if (slot := int(sockets.slot_of[fd])) >= 0:
                    sockets.slot_of[fd] = sockets.fd_of[slot] = -1

    def member(self, fd: int) -> MediaSocket:
        """Return the socket of a descriptor."""
        return self._members[0].get(fd) or self._members[1][fd]

    def relayed_fd(self) -> int:
        """Return the descriptor of the epoll of the relayed sockets."""
        return self._epolls[True].fileno()

    @property
    def sockets(self) -> Sockets:
        """Return the tables by descriptor and by slot, for compiled code."""
        return self._sockets

    def ready(self, *, is_relayed: bool) -> list[MediaSocket]:
        """Return the sockets that have a datagram, for a reader that looks at each."""
        members = self._members[is_relayed]
        if not members:
            return []
        return [members[fd] for fd, _ in self._epolls[is_relayed].poll(0, len(members))]

    def heard(self, member: MediaSocket) -> None:
        """Note what such a reader has written into the socket's source."""
        self._sockets.heard_at[member.udp.fileno()] = member.source.heard_at

    def silent(self, before: float) -> list[MediaSocket]:
        """Return the sockets that have received nothing since `before`, monotonic seconds."""
        if self._fds is None:
            self._fds = np.fromiter((fd for members in self._members for fd in members), np.intp, len(self))
        is_silent = self._sockets.heard_at[self._fds] < before
        if not np.count_nonzero(is_silent):
            return []
        return [self.member(fd) for fd in self._fds[is_silent].tolist()]

    def receive(
        self, rows: Rows, first: int, rounds: int, now: float, *, is_relayed: bool
    ) -> tuple[int, int, int]:
        """Read the datagrams of all relayed or of all other sockets, of which there must be one.

        Args:
            rows: get the datagrams.
            first: row of the first one.
            rounds: most datagrams read of one socket, at least 1.
            now: monotonic seconds.
            is_relayed: which sockets are read.

        Returns:
            As :meth:`Batch.receive`.
        """
        count = len(self._members[is_relayed])
        return self._batch.receive(
            self._epolls[is_relayed], count, rounds, self._sockets, rows, first=first, now=now
        )

    def send(self, rows: Bytes, lengths: Indices, slots: Indices) -> tuple[Indices, Indices]:
        """Send unencrypted packets of slots whose sockets are here.

        Args:
            rows: ``(n, octets)``.
            lengths: octets of each.
            slots: of the ports that send them.

        Returns:
            The rows of other slots, which were not sent, and the rows that the kernel refused.
        """
        if len(self._errors) < len(slots):
            self._errors = np.zeros(2 * len(slots), np.int32)
        if not self._batch.send(rows, lengths, slots, self._sockets, self._errors):
            return _NO_ROWS, _NO_ROWS
        return unsent(self._errors[: len(slots)])

    def close(self) -> None:
        """Close the epolls."""
        for epoll in self._epolls:
            epoll.close()


def unsent(errors: Numbers) -> tuple[Indices, Indices]:
    """Return the rows of slots without a socket here, and the rows that the kernel refused."""
    return np.flatnonzero(errors == NO_SOCKET), np.flatnonzero(errors > 0)


_NO_ROWS: Indices = np.zeros(0, np.intp)
