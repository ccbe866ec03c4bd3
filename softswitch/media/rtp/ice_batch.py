"""Sockets of ICE read, and their media decrypted, by one call of compiled code for all of them.

``ice.c`` reads into rows; what is not media of the remote party is named, and left to
:class:`softswitch.media.rtp.drain.Reception`, which reads each socket by itself where there is no compiled
code. See docs/adr/0052.
"""

import ctypes
import socket
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import Bytes, Indices
from softswitch.compiled import address
from softswitch.media.rtp.batch import LONGEST, STRIDE, Numbers, Rows
from softswitch.media.rtp.link import Link
from softswitch.media.rtp.secure import SrtpPair
from softswitch.media.rtp.secure_batch import ADDRESS, sockaddr
from softswitch.media.rtp.sockets import Address, MediaSocket, Poller

MEDIA, STRAY, REFUSED, FAILED, ODD = range(5)
"""What a row is: decrypted media; a datagram of another kind or from elsewhere; refused by libsrtp, whose
negative status is the length; an error of the socket; longer than media may be."""


class _Table(ctypes.Structure):
    """``struct ice`` of ice.c."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("unprotect", "unprotect_rtcp", "slot_of")),
        ("descriptors", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in (
            "sessions", "control_sessions", "addresses", "events", "others", "rows",
        )),
        *((name, ctypes.c_int64) for name in ("stride", "longest", "capacity")),
        *((name, ctypes.c_void_p) for name in ("lengths", "slots", "kinds", "sources")),
        *((name, ctypes.c_int64) for name in ("odd", "left", "left_sockets")),
    ]  # fmt: skip


class IceBatch:
    """Sockets of ICE by descriptor and by slot, and the rows that their datagrams are read into."""

    def __init__(self, code: ctypes.CDLL) -> None:
        """Use a loaded library."""
        number = ctypes.c_int
        self._receive = code.softswitch_ice_receive
        self._receive.argtypes = [ctypes.c_void_p, number, number, number, number]
        self._event_size: int = code.softswitch_batch_event_size()
        self._slot_of: NDArray[np.int64] = np.full(256, -1, np.int64)
        self._sessions: NDArray[np.int64] = np.zeros(64, np.int64)
        self._control_sessions: NDArray[np.int64] = np.zeros(64, np.int64)
        self._known: Bytes = np.zeros((64, ADDRESS), np.uint8)
        self._events: Bytes = np.zeros(0, np.uint8)
        self._others: Numbers = np.zeros(0, np.int32)
        self._links: dict[int, Link] = {}
        self._rows = Rows(64)
        self.kinds: Numbers = np.zeros(64, np.int32)
        """What each row is: MEDIA and the others."""
        self._sources: Bytes = np.zeros((64, ADDRESS), np.uint8)
        self._table = _Table()
        self._at = ctypes.addressof(self._table)
        self._note()

    def add(self, link: Link) -> None:
        """Read the socket of a link here, if its keys and its address can be used."""
        media_socket, keys = link.socket, link.keys
        if media_socket is None or keys is None:
            return
        control_keys = link.control_keys or keys
        known = sockaddr(media_socket)
        if not (keys.inbound_at and control_keys.inbound_at and known):
            return
        fd, slot = media_socket.udp.fileno(), link.slot
        while fd >= len(self._slot_of):
            self._slot_of = np.pad(self._slot_of, (0, len(self._slot_of)), constant_values=-1)
        while slot >= len(self._sessions):
            more = len(self._sessions)
            self._sessions = np.pad(self._sessions, (0, more))
            self._control_sessions = np.pad(self._control_sessions, (0, more))
            self._known = np.pad(self._known, ((0, more), (0, 0)))
        self._links[slot], self._slot_of[fd] = link, slot
        self._sessions[slot], self._control_sessions[slot] = keys.inbound_at, control_keys.inbound_at
        self._known[slot] = 0
        self._known[slot, : len(known)] = np.frombuffer(known, np.uint8)
        self._note()

    def remove(self, media_socket: MediaSocket) -> None:
        """Read a socket no longer; to be called before it is closed."""
        fd = media_socket.udp.fileno()
        if fd < len(self._slot_of) and (slot := int(self._slot_of[fd])) >= 0:
            self._slot_of[fd] = -1
            del self._links[slot]

    def receive(self, poller: Poller, rounds: int, first: int) -> tuple[int, int, int, list[int]]:
        """Read the sockets of a poller that are here, one datagram of each ready one at a time.

        Args:
            poller: has at least one socket.
            rounds: most datagrams read of one socket.
            first: row of the first datagram.

        Returns:
            The rows that are taken then; the number of new ones that are not media; the rounds that remain
            because the rows did not suffice, else 0; descriptors of ready sockets that are not here.
        """
        at, table = self.table(len(poller)), self._table
        taken = self._receive(at, poller.relayed_fd(), len(poller), rounds, first)
        others = self._others[: table.left_sockets].tolist() if table.left_sockets else []
        return taken, table.odd, table.left, others

    def table(self, members: int) -> int:
        """Return the address of the table, for compiled code that reads a poller of so many sockets.

        It may be used until the next call of a method.
        """
        if len(self._others) < members:
            self._others = np.zeros(2 * members, np.int32)
            self._events = np.zeros(2 * members * self._event_size, np.uint8)
            self._note()
        return self._at

    @property
    def rows(self) -> Rows:
        """Return the rows that are read into; :meth:`more` replaces them."""
        return self._rows

    def link(self, slot: int) -> Link:
        """Return the link of a slot whose socket is here."""
        return self._links[slot]

    def first(self, count: int) -> tuple[Bytes, Indices, Indices]:
        """Return data, octets and slots of the first rows; the next reading overwrites them."""
        return self._rows.first(count)

    def source(self, row: int) -> Address:
        """Return the address that a row came from."""
        raw = self._sources[row].tobytes()
        family, port = struct.unpack_from("=H", raw)[0], int.from_bytes(raw[2:4])
        if family == socket.AF_INET:
            return socket.inet_ntop(socket.AF_INET, raw[4:8]), port
        # With the name of the interface where the address needs one, as a socket of Python has it.
        scope = struct.unpack_from("=I", raw, 24)[0]
        host = socket.inet_ntop(socket.AF_INET6, raw[8:24])
        return socket.getnameinfo((host, port, 0, scope), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[
            0
        ], port

    def keep(self, first: int, rows: Indices) -> int:
        """Move rows to those from `first` on, and return the end of them."""
        data, lengths, slots = self._rows.data, self._rows.lengths, self._rows.slots
        end = first + len(rows)
        width = int(lengths[rows].max(initial=0))
        data[first:end, :width] = data[rows, :width]
        lengths[first:end], slots[first:end] = lengths[rows], slots[rows]
        return end

    def more(self, most: int, taken: int) -> bool:
        """Double the rows, keeping those taken; return False if there are `most`."""
        before = self._rows
        if len(before) >= most:
            return False
        after = self._rows = Rows(2 * len(before))
        after.data[:taken] = before.data[:taken]
        after.lengths[:taken], after.slots[:taken] = before.lengths[:taken], before.slots[:taken]
        self.kinds = np.zeros(len(after), np.int32)
        self._sources = np.zeros((len(after), ADDRESS), np.uint8)
        self._note()
        return True

    def _note(self) -> None:
        """Write the addresses of all arrays into the table."""
        table, rows, functions = self._table, self._rows, SrtpPair.functions()
        kept: dict[str, NDArray[Any]] = {
            "slot_of": self._slot_of,
            "sessions": self._sessions,
            "control_sessions": self._control_sessions,
            "addresses": self._known,
            "events": self._events,
            "others": self._others,
            "rows": rows.data,
            "lengths": rows.lengths,
            "slots": rows.slots,
            "kinds": self.kinds,
            "sources": self._sources,
        }
        for name, array in kept.items():
            setattr(table, name, address(array))
        table.unprotect, table.unprotect_rtcp = functions.unprotect, functions.unprotect_rtcp
        table.descriptors, table.capacity = len(self._slot_of), len(rows)
        table.stride, table.longest = STRIDE, LONGEST
