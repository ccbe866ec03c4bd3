"""Passes between two ticks that relay ordinary packets in one call of compiled code, without Python.

``passes.c`` waits, reads, takes in, converts and sends until the next tick is near. It stops at everything
that has to be decided, and says how far it came; without compiled code, and from there on, the same work is
done by :class:`Reception`, :class:`OrdinaryPackets` and :class:`Transports`. See docs/adr/0053 and 0055.
"""

import ctypes
from dataclasses import dataclass

import numpy as np

from softswitch.audio.opus import LONGEST_PACKET
from softswitch.audio.pcm import Indices
from softswitch.compiled import address
from softswitch.media.rtp.batch import LONGEST, STRIDE, Numbers, Rows, Sockets
from softswitch.media.rtp.convert import Converter
from softswitch.media.rtp.ice_batch import IceBatch
from softswitch.media.rtp.ordinary import OrdinaryPackets
from softswitch.media.rtp.secure_batch import SecureBatch
from softswitch.media.rtp.sockets import ROUNDS
from softswitch.rtp.packet import HEADER, Packets
from softswitch.rtp.session import Sessions

_OVER, _OTHERS, _UNFINISHED = range(3)
"""Why the passes ended, as in passes.c."""

_EVENT_OCTETS = 16
"""Octets of a struct epoll_event at most."""

_INT, _POINTER, _REAL = ctypes.c_int64, ctypes.c_void_p, ctypes.c_double


class _Passes(ctypes.Structure):
    """``struct passes`` of passes.c."""

    _fields_ = [
        *((name, _INT) for name in ("watch", "epoll", "members", "rounds")),
        *((name, _POINTER) for name in ("events", "slot_of", "heard_at", "fd_of")),
        ("table", _INT),
        ("rows", _POINTER),
        *((name, _INT) for name in ("stride", "longest", "capacity")),
        *((name, _POINTER) for name in ("fds", "lengths", "slots", "ice")),
        *((name, _INT) for name in ("ice_epoll", "ice_members", "ice_rounds")),
        *((name, _POINTER) for name in (
            "ice_rows", "ice_lengths", "ice_slots", "protect", "sessions", "secure_fds", "addresses", "sizes",
        )),
        ("secure_table", _INT),
        *((name, _POINTER) for name in ("books", "converter", "rough", "forwarded")),
        ("width", _INT),
        *((name, _POINTER) for name in ("forwarded_lengths", "forwarded_slots", "rest", "errors")),
        *((name, _REAL) for name in ("period", "margin", "timed_until", "passed")),
        *((name, _INT) for name in (
            "accepted", "relayed", "converted", "is_ice", "is_more", "taken", "odd", "aside", "rounds_left",
            "is_unread", "left", "forwards", "unsent", "waiting",
        )),
    ]  # fmt: skip


class _Room:
    """Arrays for what the passes make of as many rows as are read at most."""

    def __init__(self, count: int, width: int) -> None:
        self.forwarded: Packets = (
            np.empty((count, width), np.uint8), np.empty(count, np.intp), np.empty(count, np.intp)
        )  # fmt: skip
        self.rest: Indices = np.empty(count, np.intp)
        self.errors: Numbers = np.empty(count, np.int32)


@dataclass(frozen=True, slots=True)
class Watched:
    """The sockets of relayed ports."""

    watch: int
    """Descriptor of the epoll that watches the epolls of all of them."""
    epoll: int
    """Descriptor of the epoll of those that are connected."""
    members: int
    """Number of the latter."""
    sockets: Sockets
    rows: Rows
    """Get the datagrams."""
    ice: IceBatch | None = None
    """Reads the sockets of ICE, if there are any."""
    ice_epoll: int = -1
    """Descriptor of the epoll of these."""
    ice_members: int = 0
    """Number of these."""
    secure: SecureBatch | None = None
    """Sends what is encrypted."""


@dataclass(frozen=True, slots=True)
class Passed:
    """How far the passes came."""

    at: float
    """When the last one began, monotonic seconds."""
    is_over: bool = False
    """The time of the passes is over: nothing is left to do."""
    is_read: bool = True
    """All sockets were read in the last pass; else some still have to be."""
    is_ice: bool = False
    """What follows was read from sockets of ICE, not from connected ones."""
    read: tuple[int, int] | None = None
    """Rows read that were not taken in, and how many of them are to be judged; None: there are none."""
    aside: tuple[int, int] | None = None
    """First and end of the rows of ICE that are to be judged, where all others were taken in."""
    is_unconverted: bool = False
    """Packets that were taken in still have to be converted, by :meth:`Passes.convert_rest`."""
    rest: Packets | None = None
    """Packets that were left, of those read."""
    unsent: Packets | None = None
    """Packets to be forwarded, some of which were not sent."""
    errors: Numbers | None = None
    """Of each of these 0, the errno or :data:`NO_SOCKET`."""


class Passes:
    """The compiled passes of one plane."""

    def __init__(
        self, code: ctypes.CDLL, ordinary: OrdinaryPackets, sessions: Sessions, converter: Converter
    ) -> None:
        """Take packets in as `ordinary` does.

        Args:
            code: the loaded library.
            ordinary: the books of the plane.
            sessions: its sessions, whose counters go on.
            converter: converts packets.
        """
        self._run = code.softswitch_pass
        self._run.argtypes = [_POINTER, _REAL]
        self._ordinary, self._sessions, self._converter = ordinary, sessions, converter
        self._passes = _Passes(rounds=ROUNDS, ice_rounds=ROUNDS, stride=STRIDE, longest=LONGEST)
        self._at = ctypes.addressof(self._passes)
        self._events = ctypes.create_string_buffer(0)
        self._room = _Room(0, 0)
        self.has_accepted = False
        """Packets were taken in since the user set this back."""

    def run(self, watched: Watched, passed: float, until: float, *, period: float, margin: float) -> Passed:
        """Relay ordinary packets as they come, without the interpreter's lock.

        Args:
            watched: sockets of relayed ports, at least one of them connected or of ICE.
            passed: when relayed packets were forwarded last, monotonic seconds.
            until: when the passes end.
            period: time from one pass to the next while packets come, seconds.
            margin: time from the begin of the last pass to `until`, seconds.
        """
        passes, sockets, rows = self._passes, watched.sockets, watched.rows
        count = len(rows) if watched.ice is None else max(len(rows), len(watched.ice.rows))
        self._make_room(count, watched.members)
        passes.watch, passes.epoll, passes.members = watched.watch, watched.epoll, watched.members
        passes.slot_of, passes.heard_at, passes.fd_of = sockets.addresses
        passes.table = len(sockets.fd_of)
        passes.rows, passes.fds, passes.lengths, passes.slots = rows.addresses
        passes.capacity = len(rows)
        passes.converter, passes.rough = self._converter.table(count), self._converter.rough
        passes.books = self._ordinary.books(count)
        passes.ice = None
        if watched.ice is not None:
            passes.ice, passes.ice_epoll = watched.ice.table(watched.ice_members), watched.ice_epoll
            passes.ice_members = watched.ice_members
            passes.ice_rows, _, passes.ice_lengths, passes.ice_slots = watched.ice.rows.addresses
        passes.secure_table = 0
        if watched.secure is not None and len(watched.secure):
            (
                passes.protect, passes.sessions, passes.secure_fds, passes.addresses, passes.sizes,
                passes.secure_table,
            ) = watched.secure.tables()  # fmt: skip
        passes.period, passes.margin = period, margin
        passes.timed_until, passes.passed = self._sessions.timed_until, passed
        why = self._run(self._at, until)
        self._sessions.received += passes.accepted
        self.has_accepted |= passes.accepted > 0
        self._sessions.relays.total += passes.relayed
        self._converter.count(passes.converted)
        if why != _UNFINISHED:
            return Passed(passes.passed, is_over=why == _OVER, is_read=False)
        is_ice = bool(passes.is_ice)
        if passes.is_unread:
            odd = passes.taken if is_ice else passes.odd
            return Passed(passes.passed, is_read=False, is_ice=is_ice, read=(passes.taken, odd))
        return self._unfinished(watched.ice.rows if is_ice and watched.ice is not None else rows)

    def convert_rest(self) -> None:
        """Convert what the last run has left to Python; the packets come from :meth:`RtpPlane.forwarded`."""
        self._ordinary.convert_gathered()

    def _unfinished(self, rows: Rows) -> Passed:
        """Return what Python has to do for the last pass."""
        passes, room = self._passes, self._room
        rest = unsent = errors = None
        if passes.left:
            chosen = room.rest[: passes.left]
            rest = rows.data[chosen], rows.lengths[chosen], rows.slots[chosen]
        if passes.unsent:
            data, lengths, slots = room.forwarded
            made = passes.forwards
            unsent, errors = (data[:made], lengths[:made], slots[:made]), room.errors[:made]
        return Passed(
            passes.passed,
            is_read=not passes.is_more,
            aside=(passes.aside, passes.aside + passes.odd) if passes.odd else None,
            is_unconverted=passes.waiting > 0,
            rest=rest,
            unsent=unsent,
            errors=errors,
        )

    def _make_room(self, count: int, members: int) -> None:
        # Rows begin at words, as SRTP likes it.
        passes, width = self._passes, max(self._sessions.jitter.ring.shape[1], LONGEST_PACKET) + HEADER
        width = (width + 3) // 4 * 4
        if len(self._events) < members * _EVENT_OCTETS:
            self._events = ctypes.create_string_buffer(2 * members * _EVENT_OCTETS)
            passes.events = ctypes.addressof(self._events)
        if self._room.forwarded[0].shape == (count, width):
            return
        room = self._room = _Room(count, width)
        passes.width = width
        data, lengths, slots = room.forwarded
        passes.forwarded, passes.forwarded_lengths = address(data), address(lengths)
        passes.forwarded_slots = address(slots)
        passes.rest, passes.errors = address(room.rest), address(room.errors)
