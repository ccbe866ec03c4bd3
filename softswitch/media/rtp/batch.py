"""System calls for many connected UDP sockets at once: by compiled code where there is some, else by Python.

``batch.c`` is compiled when the package is installed on a machine with a C compiler, by
``scripts/build_batch.py``. Both kinds do the same; tests run with each. See docs/adr/0031.
"""

import ctypes
import errno
import os
import select
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import Bytes, Indices
from softswitch.compiled import LIBRARY, Address, address, library

STRIDE = 1536
"""Octets of a row: an Ethernet payload of 1500, rounded up to a multiple of 512."""

LONGEST = 1500
"""Longest accepted datagram, octets (Ethernet MTU)."""

NO_SOCKET = -1
"""In place of an errno: the slot has no socket here."""

_BUFFER_FULL = (errno.EAGAIN, errno.ENOBUFS)
"""Errors after which a datagram is lost; any other may be the ICMP error of an earlier one."""

_NONE = -1

Numbers = NDArray[np.int32]


class Rows:
    """Rows that datagrams are read into, and what is known of each."""

    def __init__(self, count: int) -> None:
        self.data: Bytes = np.zeros((count, STRIDE), np.uint8)
        self.fds: Numbers = np.zeros(count, np.int32)
        """Descriptor from which a row was read."""
        self.lengths: Indices = np.zeros(count, np.intp)
        """Octets of a row, or a negative errno."""
        self.slots: Indices = np.zeros(count, np.intp)
        """Slot of a row; negative: the datagram is encrypted."""
        self.views = [memoryview(row) for row in self.data]
        parts: tuple[NDArray[Any], ...] = self.data, self.fds, self.lengths, self.slots
        self.addresses = tuple(map(address, parts))
        self._first = (self.data, self.lengths, self.slots)

    def __len__(self) -> int:
        return len(self.data)

    def first(self, count: int) -> tuple[Bytes, Indices, Indices]:
        """Return data, lengths and slots of the first rows: the same arrays while `count` is the same."""
        if len(self._first[1]) != count:
            self._first = self.data[:count], self.lengths[:count], self.slots[:count]
        return self._first


class Sockets:
    """Descriptors, slots, and when each socket was heard, in tables."""

    def __init__(self) -> None:
        self.slot_of: Indices = np.full(256, _NONE, np.intp)
        """Slot by descriptor; -1 where datagrams are encrypted."""
        self.heard_at: NDArray[np.float64] = np.zeros(256)
        """Monotonic seconds of the last datagram, by descriptor."""
        self.fd_of: Numbers = np.full(64, _NONE, np.int32)
        """Descriptor by slot; -1 where packets cannot be sent as they are."""
        self._note()

    def grow(self, fd: int, slot: int) -> None:
        """Make room for a descriptor and a slot."""
        if (more := fd + 1 - len(self.slot_of)) > 0:
            more = max(more, len(self.slot_of))
            self.slot_of = np.pad(self.slot_of, (0, more), constant_values=_NONE)
            self.heard_at = np.pad(self.heard_at, (0, more))
        if (more := slot + 1 - len(self.fd_of)) > 0:
            self.fd_of = np.pad(self.fd_of, (0, max(more, len(self.fd_of))), constant_values=_NONE)
        self._note()

    def _note(self) -> None:
        parts: tuple[NDArray[Any], ...] = self.slot_of, self.heard_at, self.fd_of
        self.addresses = tuple(map(address, parts))


class Batch(Protocol):
    """Reads and sends on non-blocking connected datagram sockets."""

    name: str
    """``compiled`` or ``python``."""

    def receive(
        self,
        epoll: select.epoll,
        members: int,
        rounds: int,
        sockets: Sockets,
        rows: Rows,
        *,
        first: int,
        now: float,
    ) -> tuple[int, int, int]:
        """Read one datagram of each ready socket, again and again until none is ready.

        Args:
            epoll: watches the sockets.
            members: number of sockets that it watches, at least 1.
            rounds: most datagrams read of one socket.
            sockets: gives each descriptor's slot, and gets when it was heard.
            rows: get the datagrams.
            first: row of the first datagram.
            now: monotonic seconds.

        Returns:
            The number of rows written; the rounds that remain because the rows did not suffice, else 0; and
            the number of rows without a slot, or with a length that is not within 1 and :data:`LONGEST`.
        """

    def send(self, rows: Bytes, lengths: Indices, slots: Indices, sockets: Sockets, errors: Numbers) -> int:
        """Send each row on the socket of its slot.

        A datagram that is refused is tried once more, unless a buffer is full: a connected socket reports the
        ICMP error of an earlier datagram once and instead of sending.

        Args:
            rows: ``(n, octets)``.
            lengths: octets of each, ``(n,)``.
            slots: slot of each, ``(n,)``.
            sockets: gives each slot's descriptor.
            errors: gets 0, the errno, or :data:`NO_SOCKET` for each, ``(n,)``.

        Returns:
            Number of rows that were not sent.
        """


class PythonBatch:
    """The calls one after the other."""

    name = "python"

    def receive(
        self,
        epoll: select.epoll,
        members: int,
        rounds: int,
        sockets: Sockets,
        rows: Rows,
        *,
        first: int,
        now: float,
    ) -> tuple[int, int, int]:
        """Read as :meth:`Batch.receive` says."""
        fds: list[int] = []
        lengths: list[int] = []
        while rounds and (ready := epoll.poll(0, members)):
            if first + len(fds) + len(ready) > len(rows):
                break
            for fd, _ in ready:
                try:
                    length = os.readv(fd, (rows.views[first + len(fds)],))
                except OSError as error:
                    length = -(error.errno or errno.EIO)
                fds.append(fd)
                lengths.append(length)
            rounds -= 1
        else:
            rounds = 0
        if not fds:
            return 0, rounds, 0
        taken = slice(first, first + len(fds))
        rows.fds[taken], rows.lengths[taken] = fds, lengths
        rows.slots[taken] = sockets.slot_of[rows.fds[taken]]
        sizes, heard, slots = rows.lengths[taken], rows.fds[taken], rows.slots[taken]
        sockets.heard_at[heard[sizes >= 0]] = now
        odd = np.count_nonzero((sizes <= 0) | (sizes > LONGEST) | (slots < 0))
        return len(fds), rounds, int(odd)

    def send(self, rows: Bytes, lengths: Indices, slots: Indices, sockets: Sockets, errors: Numbers) -> int:
        """Send as :meth:`Batch.send` says."""
        data, stride, start, unsent = rows.tobytes(), rows.shape[1], 0, 0
        fds = np.where(slots < len(sockets.fd_of), sockets.fd_of.take(slots, mode="clip"), _NONE)
        for row, (fd, length) in enumerate(zip(fds.tolist(), lengths.tolist(), strict=True)):
            error = NO_SOCKET if fd < 0 else self._send(fd, data[start : start + length])
            errors[row] = error
            unsent += error != 0
            start += stride
        return unsent

    @staticmethod
    def _send(fd: int, datagram: bytes) -> int:
        error = 0
        for _ in range(2):
            try:
                os.write(fd, datagram)
            except OSError as fault:
                error = fault.errno or errno.EIO
                if error in _BUFFER_FULL:
                    break
            else:
                return 0
        return error


class CompiledBatch:
    """The calls of ``batch.c``: one for all sockets, without the interpreter's lock."""

    name = "compiled"

    def __init__(self, library: ctypes.CDLL) -> None:
        """Use a loaded library."""
        self._event_size: int = library.softswitch_batch_event_size()
        self._receive, self._send = library.softswitch_batch_receive, library.softswitch_batch_send
        pointer, number, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
        self._receive.argtypes = [
            number, pointer, number, number, pointer, pointer, ctypes.c_double, pointer, long, long, number,
            pointer, pointer, pointer, pointer,
        ]  # fmt: skip
        self._send.argtypes = [pointer, long, pointer, pointer, pointer, long, number, pointer]
        self._out = (ctypes.c_int32 * 2)()
        self._out_at = ctypes.addressof(self._out)
        self._events = ctypes.create_string_buffer(0)
        self._events_at = 0
        self._rows, self._lengths, self._slots, self._errors = Address(), Address(), Address(), Address()

    def receive(
        self,
        epoll: select.epoll,
        members: int,
        rounds: int,
        sockets: Sockets,
        rows: Rows,
        *,
        first: int,
        now: float,
    ) -> tuple[int, int, int]:
        """Read as :meth:`Batch.receive` says."""
        if len(self._events) < members * self._event_size:
            self._events = ctypes.create_string_buffer(2 * members * self._event_size)
            self._events_at = ctypes.addressof(self._events)
        slot_of, heard_at, _ = sockets.addresses
        data, fds, lengths, slots = rows.addresses
        taken = self._receive(
            epoll.fileno(), self._events_at, members, rounds, slot_of, heard_at, now,
            data + first * STRIDE, STRIDE, LONGEST, len(rows) - first,
            fds + 4 * first, lengths + 8 * first, slots + 8 * first, self._out_at,
        )  # fmt: skip
        left, odd = self._out
        return taken, left, odd

    def send(self, rows: Bytes, lengths: Indices, slots: Indices, sockets: Sockets, errors: Numbers) -> int:
        """Send as :meth:`Batch.send` says."""
        if not (slots.flags.c_contiguous and lengths.flags.c_contiguous and rows.flags.c_contiguous):
            rows, lengths, slots = map(np.ascontiguousarray, (rows, lengths, slots))
        unsent: int = self._send(
            self._rows.of(rows), rows.shape[1], self._lengths.of(lengths), self._slots.of(slots),
            sockets.addresses[2], len(sockets.fd_of), len(slots), self._errors.of(errors),
        )  # fmt: skip
        return unsent


def load(path: Path = LIBRARY) -> Batch:
    """Return the compiled calls if there are any and they are not turned off, else Python's."""
    code = library(path)
    return PythonBatch() if code is None else CompiledBatch(code)
