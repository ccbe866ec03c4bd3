"""Queues of feed ports in compiled code (``feeds.c``): one call takes or sends the frames of all ports.

:class:`CompiledFifo` does what :class:`.feed_fifo.FeedFifo` does, where the rules are explained. Beside that
it may have a WebSocket, which the tick then reads and writes itself while all is ordinary. See
docs/adr/0051.
"""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from softswitch.audio.pcm import TICK_MS, Bytes, Indices
from softswitch.compiled import Address, address, library, locked
from softswitch.media.feeds.feed_fifo import HURRY_MS, FeedFifo
from softswitch.media.lateness import Lateness

DRIFTS, BEHIND, JUDGE, DRY, ROUSED = 1, 2, 4, 8, 16
"""Why a row has to be looked at: its clock drifts; it is late or holds a rest; its judge has to be asked; its
queue ran empty; the event loop has to look at its socket."""

_SCRATCH = 65_536
"""Octets that are read from a socket at a time, 30 times as many as the widest audio has in a tick."""

_LONG, _DOUBLE, _POINTER = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p


class _Feed(ctypes.Structure):
    """``struct feed`` of feeds.c, as far as Python knows it."""

    put: int
    taken: int
    dropped: int
    underruns: int
    mended_ms: int
    correction: int
    creep: int
    sent_frames: int
    floor: int
    received: int
    level: int
    lead: float
    reads: int
    writer: int
    heard: int
    ended: int
    capacity: int
    is_open: int
    fed: int
    mark_at: int
    number: int
    chunk: int
    sent: int

    _fields_ = [
        *((name, _LONG) for name in (
            "frame", "unit", "capacity", "start",
            "seen", "put", "taken", "dropped", "underruns", "mended_ms", "correction",
            "playing", "postponed", "stalled", "low", "window", "base", "creep",
            "speaks", "silent_ticks", "sent_frames",
            "judged", "behind", "floor", "credit", "received", "level",
        )),
        *((name, _DOUBLE) for name in ("since", "origin", "second", "lead")),
        *((name, _LONG) for name in (
            "fd", "reads", "writer", "looked", "wakes", "quiet", "got",
            "most", "listens", "heard", "handed", "ended",
            "head_size", "left", "phase",
        )),
        ("strays", _POINTER), ("stray_size", _LONG), ("rest", _POINTER), ("rest_size", _LONG),
        ("head", ctypes.c_uint8 * 16), ("key", ctypes.c_uint8 * 4),
        *((name, _LONG) for name in ("is_text", "is_open", "fed", "mark_at", "number", "chunk", "sent")),
        ("part", _POINTER), ("part_size", _LONG), ("part_room", _LONG),
        ("id", _POINTER), ("id_size", _LONG),
    ]  # fmt: skip


class FeedCode:
    """The functions of feeds.c. Those that take a few microseconds keep the interpreter's lock."""

    def __init__(self, code: ctypes.CDLL) -> None:
        def short(name: str, result: type | None, *arguments: type) -> Any:
            return locked(getattr(code, f"softswitch_feed_{name}"), result, arguments)

        pull: list[Any] = [
            _POINTER,
            _LONG,
            _DOUBLE,
            _POINTER,
            _LONG,
            _POINTER,
            _POINTER,
            _LONG,
            *[_POINTER] * 4,
        ]
        push: list[Any] = [_POINTER, _POINTER, _LONG, _POINTER, _LONG, *[_POINTER] * 3]
        self.new, self.free = short("new", _POINTER), short("free", None, _POINTER)
        self.put = short("put", _LONG, _POINTER, ctypes.c_char_p, _LONG)
        self.take = short("take", _LONG, _POINTER, _POINTER)
        self.skip = short("skip", None, _POINTER, _LONG, _POINTER)
        self.correct, self.forget = short("correct", None, _POINTER), short("forget", None, _POINTER, _LONG)
        self.connect = short("connect", None, _POINTER, _LONG, _LONG, _LONG)
        self.disconnect = short("disconnect", None, _POINTER)
        self.read, self.write = short("read", None, _POINTER, _LONG), short("write", None, _POINTER, _LONG)
        self.send = short("send", _LONG, _POINTER, ctypes.c_char_p, _LONG)
        self.pull, self.push = short("pull", None, *pull), short("push", None, *push)
        self.pull_sockets, self.push_sockets = code.softswitch_feed_pull, code.softswitch_feed_push
        """The same two without the interpreter's lock, for ports that have sockets."""
        self.read_sockets = code.softswitch_feed_early
        read: list[Any] = [_POINTER, _LONG, _POINTER, _LONG, _POINTER, _POINTER]
        without_lock = (self.pull_sockets, pull), (self.push_sockets, push), (self.read_sockets, read)
        for function, arguments in without_lock:
            function.argtypes, function.restype = arguments, None
        self.size: int = short("size", _LONG)()
        """Octets of the struct of a queue, as far as Python knows it."""
        self.now = short("now", _LONG, _POINTER, _POINTER, _LONG)
        self.scratch = ctypes.create_string_buffer(_SCRATCH)
        """Memory of the event loop."""
        self.scratch_at = ctypes.addressof(self.scratch)
        self.connected = 0
        """Number of queues that have a socket."""


@cache
def feed_code() -> FeedCode | None:
    """Return the functions, None without compiled code."""
    code = library()
    return FeedCode(code) if code is not None else None


class CompiledFifo:
    """A :class:`FeedFifo` in compiled code. Any thread may put; it may have a socket of its own."""

    __slots__ = (
        "__weakref__",
        "_at",
        "_code",
        "_feed",
        "_frame",
        "_scratch",
        "_scratch_at",
        "_urgent",
        "on_refused",
    )

    def __init__(
        self, frame_bytes: int, unit: int, capacity_ms: int, prebuffer_ms: int, code: FeedCode | None = None
    ) -> None:
        """Make an empty FIFO; for the arguments see :class:`FeedFifo`.

        Raises:
            MemoryError: no memory is left.
            RuntimeError: there is no compiled code.
        """
        code = code or feed_code()
        if code is None:
            raise RuntimeError("there is no compiled code")
        self._code = code
        self._at: int = code.new() or 0
        if not self._at:
            raise MemoryError("no memory for the queue of a feed port")
        self._feed = feed = _Feed.from_address(self._at)
        ms = frame_bytes / TICK_MS
        feed.frame, feed.unit, feed.capacity = frame_bytes, unit, int(capacity_ms * ms)
        feed.start, self._urgent = max(int(prebuffer_ms * ms), 1), HURRY_MS * ms
        self._frame = frame_bytes
        self._scratch = ctypes.create_string_buffer(frame_bytes)
        self._scratch_at = ctypes.addressof(self._scratch)
        self.on_refused: Callable[[int], object] = bool
        """Called by :meth:`read_now` with the number of bytes for which there was no room."""

    def __del__(self) -> None:
        """Free the memory."""
        if at := getattr(self, "_at", 0):
            self._at = 0
            self._code.free(at)

    @property
    def at(self) -> int:
        """Address for compiled code."""
        return self._at

    @property
    def received(self) -> int:
        """Bytes accepted."""
        return self._feed.put

    @property
    def frame(self) -> int:
        """Bytes of 20 ms."""
        return self._frame

    @property
    def level(self) -> int:
        """Bytes that wait."""
        return self._feed.put - self._feed.taken

    @property
    def correction(self) -> int:
        """See :attr:`FeedFifo.correction`."""
        return self._feed.correction

    @property
    def dropped(self) -> int:
        """Bytes refused because the queue was full."""
        return self._feed.dropped

    @property
    def underruns(self) -> int:
        """Number of times the queue ran empty."""
        return self._feed.underruns

    @property
    def mended_ms(self) -> int:
        """Audio dropped or inserted because of clock drift, milliseconds."""
        return self._feed.mended_ms

    @property
    def sent_frames(self) -> int:
        """Frames that :meth:`FeedTable.push` was given for the port."""
        return self._feed.sent_frames

    @property
    def is_urgent(self) -> bool:
        """True if the correction must not wait for a quiet moment any longer."""
        return self._feed.creep > self._urgent

    def put(self, data: bytes) -> int:
        """Append audio of any length; return the number of bytes refused."""
        refused: int = self._code.put(self._at, data, len(data))
        return refused

    def take(self) -> bytes | None:
        """Return the next frame, shorter at the end of a talk spurt; None while nothing is to be played."""
        size = self._code.take(self._at, self._scratch_at)
        return ctypes.string_at(self._scratch_at, size) if size else None

    def apply_correction(self) -> None:
        """Apply the correction, see :meth:`FeedFifo.apply_correction`."""
        self._code.correct(self._at)

    def skip(self, size: int) -> bytes:
        """Discard `size` bytes and return the frame behind them; so much must be queued."""
        self._code.skip(self._at, size, self._scratch_at)
        return ctypes.string_at(self._scratch_at, self._frame)

    # --- what the port of the queue is ------------------------------------------------------

    def belong(self, lateness: Lateness | None, *, speaks: bool) -> None:
        """Note whether the port is mixed and the judge of its source."""
        self._feed.speaks, self._feed.judged = speaks, lateness is not None
        if lateness is not None:
            self.follow(lateness)

    def observe(self, lateness: Lateness, now: float) -> None:
        """Let the judge observe the tick before."""
        feed = self._feed
        lateness.saw(feed.floor, feed.lead)
        lateness.observe(now, feed.received, feed.level)

    def follow(self, lateness: Lateness) -> None:
        """Observe for a judge from now on."""
        feed = self._feed
        feed.since, feed.origin, feed.second, feed.credit, feed.floor, feed.lead = lateness.window()

    def mark(self, *, behind: bool) -> None:
        """Note whether the port is late or holds the rest of a frame."""
        self._feed.behind = behind

    # --- the socket: for the event loop -----------------------------------------------------

    def connect(self, fd: int, most: int, *, listens: bool) -> None:
        """Serve the WebSocket of a client from now on; neither read nor write it yet.

        Args:
            fd: a TCP socket that is not blocking. It stays the caller's, who closes it after `disconnect`.
            most: bytes of the longest message that is taken; 0: unlimited.
            listens: whether the tick sends what the port hears.
        """
        self._code.connected += 1
        self._code.connect(self._at, fd, most, listens)

    def disconnect(self) -> None:
        """Leave the socket; what is for the loop stays."""
        self._code.connected -= 1
        self._code.disconnect(self._at)

    def read(self, *, on: bool) -> None:
        """Let the tick read the socket, where a frame begins, or let it stop."""
        self._code.read(self._at, on)

    def read_now(self) -> None:
        """Read the socket between two ticks, while the tick reads it."""
        refused = self._code.now(self._at, self._code.scratch_at, _SCRATCH)
        if refused:
            self.on_refused(refused)

    def write(self, handed: int) -> bool:
        """Let the tick write; return False where it has left more than `handed` frames to the loop."""
        self._code.write(self._at, handed)
        return bool(self._feed.writer)

    def send(self, data: bytes) -> int:
        """Write frames; return how many bytes were taken, 0 where all has to go by the transport."""
        sent: int = self._code.send(self._at, data, len(data))
        return sent

    @property
    def reads(self) -> bool:
        """Whether the tick reads the socket."""
        return bool(self._feed.reads)

    @property
    def is_reading(self) -> bool:
        """Whether it does so already."""
        return bool(self._feed.reads)

    @property
    def is_shared(self) -> bool:
        """Whether tick and loop write in turn; otherwise the transport alone does."""
        return bool(self._feed.writer)

    @property
    def heard(self) -> int:
        """Number of reads by the tick."""
        return self._feed.heard

    @property
    def ended(self) -> int:
        """What the tick found at the end of the connection: an errno; -1: the peer closed it; 0: no end."""
        return self._feed.ended

    def take_strays(self) -> bytes:
        """Return what was read and is for the loop; to be called while the tick does not read."""
        feed = self._feed
        strays = ctypes.string_at(feed.strays, feed.stray_size) if feed.stray_size else b""
        if strays:
            self._code.forget(self._at, False)
        return strays

    def take_rest(self) -> bytes:
        """Return what the transport has to write first; to be called while the tick does not write."""
        feed = self._feed
        rest = ctypes.string_at(feed.rest, feed.rest_size) if feed.rest_size else b""
        if rest:
            self._code.forget(self._at, True)
        return rest

    def take_begun(self) -> tuple[bytes, int, bytes]:
        """Return what was read of a frame: its header, or the bytes that its payload lacks and their mask.

        To be called while the tick does not read the socket, and forgotten then.
        """
        feed = self._feed
        turn = feed.phase
        key = bytes(feed.key[(turn + i) & 3] for i in range(4))
        begun = bytes(feed.head[: feed.head_size]), feed.left, key
        feed.head_size = feed.left = 0
        return begun


def serves_sockets() -> bool:
    """Tell whether there is a queue with a socket."""
    code = feed_code()
    return code is not None and code.connected > 0


def new_fifo(frame_bytes: int, unit: int, capacity_ms: int, prebuffer_ms: int) -> FeedFifo | CompiledFifo:
    """Return a queue: in compiled code if there is any."""
    kind = FeedFifo if feed_code() is None else CompiledFifo
    return kind(frame_bytes, unit, capacity_ms, prebuffer_ms)


class Pulled(NamedTuple):
    """The frames of a tick."""

    frames: Bytes
    """``(n, frame)``, of the active rows; overwritten by the next tick."""
    active: Indices
    """Rows that have a frame."""
    refused: int
    """Bytes read from sockets for which queues had no room."""
    looks: list[tuple[int, int]]
    """Rows to be looked at, each with its reasons."""


class FeedTable:
    """The queues of consecutive rows, which one call serves; used by the tick."""

    def __init__(self, fifos: Sequence[CompiledFifo], code: FeedCode) -> None:
        """Take the queues of all ports of one format."""
        self._fifos = fifos  # keeps them alive
        self._code = code
        count, self._frame = len(fifos), fifos[0].frame
        self._feeds = np.array([fifo.at for fifo in fifos], np.int64)
        self._out: Bytes = np.zeros((count, self._frame), np.uint8)
        self._active, self._rows, self._why = (np.zeros(count, np.int64) for _ in range(3))
        self._numbers = np.zeros(3, np.int64)
        self._all = np.arange(count)
        self._scratch = np.empty(0, np.uint8)
        parts: tuple[Any, ...] = self._feeds, self._out, self._active, self._rows, self._why, self._numbers
        self._addresses = tuple(map(address, parts))
        self._all_at = address(self._all)
        self._silence, self._data, self._some, self._scratch_at = Address(), Address(), Address(), Address()

    def pull(self, first: int, last: int, now: float, silence: Bytes) -> Pulled:
        """Read the sockets of some rows, and take the next frame of each.

        Args:
            first: first row.
            last: row behind the last.
            now: monotonic seconds.
            silence: 20 ms of it.
        """
        code = self._code
        feeds, out, active, rows, why, numbers = self._addresses
        call = code.pull_sockets if code.connected else code.pull
        if code.connected and not len(self._scratch):
            self._scratch = np.empty(_SCRATCH, np.uint8)
        call(
            feeds + 8 * first, last - first, now, self._scratch_at.of(self._scratch), len(self._scratch),
            self._silence.of(silence), out, self._frame, active, rows, why, numbers,
        )  # fmt: skip
        count, refused, looks = self._numbers.tolist()
        found: list[tuple[int, int]] = []
        if looks:
            found = list(zip(self._rows[:looks].tolist(), self._why[:looks].tolist(), strict=True))
        return Pulled(self._out[:count], self._active[:count], refused, found)

    def read(self) -> tuple[int, list[int]]:
        """Read the sockets before the next frames are taken.

        Returns:
            Bytes for which queues had no room, and the rows at whose sockets the event loop has to look.
        """
        if not len(self._scratch):
            self._scratch = np.empty(_SCRATCH, np.uint8)
        feeds, _, _, rows, _, numbers = self._addresses
        at, size = self._scratch_at.of(self._scratch), len(self._scratch)
        self._code.read_sockets(feeds, len(self._feeds), at, size, rows, numbers)
        refused, roused, _ = self._numbers.tolist()
        return refused, self._rows[:roused].tolist()

    def push(self, rows: Sequence[int] | None, data: Bytes) -> tuple[list[int], list[int]]:
        """Send a frame of audio to the socket of each row.

        Args:
            rows: the rows; None: all.
            data: a frame for each, ``(n, frame)``.

        Returns:
            Which frames (their place in `data`) the event loop has to send, and of which it has to send
            the rest.
        """
        code = self._code
        feeds, _, left, roused, _, numbers = self._addresses
        some = self._all if rows is None else np.array(rows, np.int64)
        (code.push_sockets if code.connected else code.push)(
            feeds, self._some.of(some), len(some), self._data.of(data), self._frame, left, roused, numbers
        )
        lefts, rouses, _ = self._numbers.tolist()
        return self._active[:lefts].tolist(), self._rows[:rouses].tolist()


def table_of(fifos: Sequence[FeedFifo | CompiledFifo]) -> FeedTable | None:
    """Return the table of queues that are all in compiled code, otherwise None."""
    compiled = [fifo for fifo in fifos if isinstance(fifo, CompiledFifo)]
    code = feed_code()
    return (
        FeedTable(compiled, code) if code is not None and compiled and len(compiled) == len(fifos) else None
    )
