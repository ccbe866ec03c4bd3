"""Queues of streams in compiled code (``streams.c``): text messages that the tick reads and writes itself.

A :class:`StreamQueue` has the WebSocket of a stream's service. The tick reads the audio among its messages
into the queue of a track, and writes what taps hear as messages, while all is ordinary; the event loop does
the rest. See docs/adr/0054; there is no such queue without compiled code.
"""

import ctypes
import time
from collections.abc import Callable, MutableMapping, Sequence
from functools import cache
from typing import Any, Final
from weakref import WeakValueDictionary

import numpy as np

from softswitch.audio.pcm import BUS_RATE, FRAME, Bytes
from softswitch.compiled import Address, address, library, locked
from softswitch.media.feeds.feed_queue import CompiledFifo, FeedCode, feed_code

_SAMPLE: Final = 2
_SCRATCH: Final = 65_536
"""Octets that are read from a socket at a time, so that a tick is not long because of one service."""

_LONG, _POINTER = ctypes.c_int64, ctypes.c_void_p


class _StreamCode:
    """The functions of streams.c; those that take a few microseconds keep the interpreter's lock."""

    def __init__(self, code: ctypes.CDLL, feeds: FeedCode) -> None:
        def short(name: str, result: type | None, *arguments: type) -> Any:
            return locked(getattr(code, f"softswitch_stream_{name}"), result, arguments)

        self.feeds = feeds
        self.begin = short("begin", ctypes.c_int, _POINTER, ctypes.c_char_p, _LONG, _LONG)
        self.put = short("put", ctypes.c_int, _POINTER, ctypes.c_char_p, _LONG)
        self.take, self.keep = (
            short("take", None, _POINTER, _POINTER, _LONG),
            short("keep", None, _POINTER, _LONG),
        )
        self.tap = short("tap", _POINTER, _POINTER, ctypes.c_char_p, _LONG, _LONG)
        self.untap, self.claim = short("untap", None, _POINTER), short("claim", None, _POINTER)
        self.write = short("write", ctypes.c_int, _POINTER, _POINTER, _POINTER)
        self.audio = short("audio", _LONG, ctypes.c_char_p, _LONG, ctypes.c_char_p, _LONG, _POINTER)
        # Without the interpreter's lock: sockets.
        self.read, self.push = code.softswitch_stream_read, code.softswitch_stream_push
        self.read.argtypes = [_POINTER, _LONG, _POINTER, _LONG, _LONG, _POINTER]
        self.read.restype = _LONG
        self.push.argtypes = [_POINTER, _LONG, _POINTER, _LONG, _LONG, *[_POINTER] * 3]
        self.push.restype = None


@cache
def _code() -> _StreamCode | None:
    code, feeds = library(), feed_code()
    return _StreamCode(code, feeds) if code is not None and feeds is not None else None


class _Tap(ctypes.Structure):
    """``struct tap`` of streams.c, as far as Python knows it."""

    produced: int
    sent: int
    handled: int

    _fields_ = [(name, _LONG) for name in ("produced", "sent", "handled")]


class StreamTap:
    """What a tap says to a stream, and how many frames of it came which way."""

    __slots__ = ("__weakref__", "_code", "_tap", "at", "queue")

    def __init__(self, code: _StreamCode, queue: "StreamQueue", words: bytes, step: int) -> None:
        self._code, self.queue = code, queue
        self.at: int = code.tap(queue.at, words, len(words), step) or 0
        """Address for compiled code."""
        if not self.at:
            raise MemoryError("no memory for the tap of a stream")
        self._tap = _Tap.from_address(self.at)

    def __del__(self) -> None:
        """Free the memory."""
        if at := getattr(self, "at", 0):
            self.at = 0
            self._code.untap(at)

    @property
    def frames(self) -> int:
        """Frames that the tick sent or that came to the event loop."""
        return self._tap.sent + self._tap.handled

    def handled(self) -> None:
        """Note that a frame came to the event loop."""
        self._tap.handled += 1


class StreamQueue(CompiledFifo):
    """The queue of a track whose audio the tick may read by itself, and the socket of its stream.

    It counts the messages of the stream, too: the side that writes one takes the next number. The loop does
    so after :meth:`claim` only, so that numbers are sent in their order.
    """

    __slots__ = ("_asked", "_awaits", "_streams", "ask", "id", "taps", "users")

    def __init__(self, number: int, stream: str, capacity_ms: int) -> None:
        """Make an empty queue.

        Args:
            number: id under which the engine has it.
            stream: id that messages of the service may have; others are left to the event loop.
            capacity_ms: longest queue, milliseconds.

        Raises:
            MemoryError: no memory is left.
            RuntimeError: there is no compiled code.
        """
        code = _code()
        if code is None:
            raise RuntimeError("there is no compiled code")
        super().__init__(_SAMPLE * FRAME, _SAMPLE, capacity_ms, 0, code.feeds)
        self.id, self._streams = number, code
        name = stream.encode()
        if not code.begin(self._at, name, len(name), _SAMPLE * capacity_ms * BUS_RATE // 1000):
            raise MemoryError("no memory for the queue of a stream")
        self.taps: MutableMapping[int, StreamTap] = WeakValueDictionary()
        """What taps say to the stream, by their ids; who uses one keeps it."""
        self.users = 0
        """Tracks and taps of the engine that use the queue."""
        self._awaits = False
        self._asked = 0
        self.ask: Callable[[int], object] = self.begin_reading
        """Called with a number that :meth:`begin_reading` gets in its turn, behind all that was posted."""

    # --- audio, for the tick ----------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Samples that wait."""
        return self.level // _SAMPLE

    @property
    def played(self) -> int:
        """Samples that were taken so far."""
        return self._feed.taken // _SAMPLE

    @property
    def fed(self) -> int:
        """Samples that were accepted so far."""
        return self._feed.fed // _SAMPLE

    def append(self, data: bytes) -> bool:
        """Append whole samples; return False without memory."""
        return bool(self._streams.put(self._at, data, len(data)))

    def take_samples(self, samples: int) -> Bytes:
        """Return the next `samples`, which are there, as octets."""
        out: Bytes = np.empty(_SAMPLE * samples, np.uint8)
        self._streams.take(self._at, address(out), len(out))
        return out

    def keep(self, samples: int) -> None:
        """Discard all but the next `samples`."""
        self._streams.keep(self._at, _SAMPLE * samples)

    def open(self, *, takes: bool) -> None:
        """Note whether the track takes audio."""
        self._feed.is_open = takes

    def next_mark(self, distance: int) -> None:
        """Note that a mark stands behind the next `distance` samples."""
        self._feed.mark_at = self._feed.taken + _SAMPLE * distance

    def leave(self) -> None:
        """Read the socket no longer: nothing of the engine uses the queue."""
        self._code.read(self._at, False)
        self._awaits = False
        self._feed.ended = self._feed.ended or -1

    def begin_reading(self, asked: int) -> None:
        """Read the socket from now on, unless it was left since the loop has asked for it."""
        if self._awaits and asked == self._asked:
            self._code.read(self._at, True)
            self._awaits = False

    # --- the socket, for the event loop -------------------------------------------------------

    @property
    def reads(self) -> bool:
        """Whether the tick reads the socket, or is about to."""
        return self._awaits or bool(self._feed.reads)

    def read(self, *, on: bool) -> None:
        """Let the tick read, once it has carried out what was posted before, or let it stop."""
        self._asked += 1
        self._awaits = on
        if on:
            self.ask(self._asked)
        else:
            self._code.read(self._at, False)

    def disconnect(self) -> None:
        """Leave the socket; what is for the loop stays."""
        self._awaits = False
        super().disconnect()

    def write(self, handed: int) -> bool:
        """Let the tick write, unless a frame that it has left to the loop is on its way."""
        taps = list(self.taps.values())
        one, other = (*(tap.at for tap in taps), None, None)[:2]
        return bool(self._streams.write(self._at, one, other))

    def take_begun(self) -> tuple[bytes, int, bytes]:
        """Return what was read of a message, and forget it; to be called while the tick does not read."""
        feed = self._feed
        begun = ctypes.string_at(feed.part, feed.part_size) if feed.part_size else b""
        feed.part_size = 0
        return begun, 0, b""

    @property
    def sent(self) -> int:
        """Media messages that the tick sent."""
        return self._feed.sent

    # --- numbers ------------------------------------------------------------------------------

    def tap(self, number: int, words: bytes, step: int) -> StreamTap:
        """Let the tick write the frames of a tap, while the caller keeps what is returned.

        A stream has two taps at most.

        Args:
            number: id of the tap.
            words: the text of a media message; in it the octets 1 to 5 stand for the moment it is sent
                (RFC 3339), its number, the audio in base64, the time of the audio, and its number among media
                messages. No JSON has these octets.
            step: time of a frame in the unit of the stream's times.

        Raises:
            MemoryError: no memory is left, or the text is too long.
            ValueError: the stream has two taps.
        """
        if len(self.taps) > 1:
            raise ValueError("a stream has two taps at most")
        made = self.taps[number] = StreamTap(self._streams, self, words, step)
        return made

    def claim(self) -> None:
        """Leave writing, and with it the numbers, to the loop until the next :meth:`write`."""
        self._streams.claim(self._at)

    @property
    def number(self) -> int:
        """Number of the last message."""
        return self._feed.number

    @number.setter
    def number(self, number: int) -> None:
        self._feed.number = number

    @property
    def chunk(self) -> int:
        """Number of the last media message."""
        return self._feed.chunk

    @chunk.setter
    def chunk(self, chunk: int) -> None:
        self._feed.chunk = chunk


def new_stream_queue(number: int, stream: str, capacity_ms: int) -> StreamQueue | None:
    """Return a queue; None without compiled code."""
    return StreamQueue(number, stream, capacity_ms) if _code() is not None else None


def audio_of(text: bytes, stream: str) -> bytes | None:
    """Return the audio of a text message as the tick reads it; None where it is left to the loop.

    Raises:
        RuntimeError: there is no compiled code.
    """
    code = _code()
    if code is None:
        raise RuntimeError("there is no compiled code")
    out, name = ctypes.create_string_buffer(len(text) + 1), stream.encode()
    size = code.audio(text, len(text), name, len(name), ctypes.addressof(out))
    return out.raw[:size] if size >= 0 else None


class StreamTable:
    """All queues of an engine; their sockets are read by one call."""

    def __init__(self) -> None:
        """Begin without queues."""
        self.offered: MutableMapping[int, StreamQueue] = WeakValueDictionary()
        """Queues that tracks and taps of these numbers are to use; the event loop adds and keeps them."""
        self._queues: dict[int, StreamQueue] = {}
        self._list: list[StreamQueue] = []
        self._at = np.zeros(0, np.int64)
        self._rows = np.zeros(0, np.int64)
        self._addresses = 0, 0
        self._scratch: Bytes = np.empty(0, np.uint8)
        self.roused: list[int] = []
        """Ids of those at whose sockets the event loop has to look."""

    def __len__(self) -> int:
        return len(self._queues)

    def use(self, number: int) -> StreamQueue | None:
        """Return a queue that was offered, and read its socket until nothing uses it; None without one."""
        queue = self._queues.get(number) or self.offered.get(number)
        if queue is not None:
            queue.users += 1
            if number not in self._queues:
                self._queues[number] = queue
                self._arrange()
        return queue

    def get(self, number: int) -> StreamQueue | None:
        """Return a queue that is used."""
        return self._queues.get(number)

    def release(self, number: int) -> None:
        """End one use of a queue; nothing happens for an id that is unknown."""
        queue = self._queues.get(number)
        if queue is None:
            return
        queue.users -= 1
        if not queue.users:
            del self._queues[number]
            self._arrange()
            queue.leave()
            self.roused.append(number)

    def take_roused(self) -> list[int]:
        """Return the ids since the last call at whose sockets the event loop has to look."""
        roused, self.roused = self.roused, []
        return roused

    def _arrange(self) -> None:
        self._list = list(self._queues.values())
        self._at = np.array([queue.at for queue in self._list], np.int64)
        self._rows = np.zeros(len(self._list), np.int64)
        self._addresses = address(self._at), address(self._rows)

    def read(self, *, early: bool) -> None:
        """Read the sockets.

        Args:
            early: True: before the messages of a tick are carried out. False: in the tick; those that were
                read early are not read again.
        """
        code = _code()
        if code is None or not self._list or not code.feeds.connected:
            return
        if not len(self._scratch):
            self._scratch = np.empty(_SCRATCH, np.uint8)
        at, rows = self._addresses
        count = code.read(at, len(self._list), address(self._scratch), _SCRATCH, early, rows)
        if count:
            self.roused += [self._list[row].id for row in self._rows[:count].tolist()]


class StreamPush:
    """The taps of a format, in their order: those of streams are sent by one call."""

    def __init__(self, taps: Sequence[StreamTap | None]) -> None:
        """Take the taps; None: not of a stream."""
        code = _code()
        if code is None:
            raise RuntimeError("there is no compiled code")
        self._code = code
        self._taps = taps  # keeps them alive
        count = len(taps)
        self._at = np.array([tap.at if tap else 0 for tap in taps], np.int64)
        self._left, self._roused = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._numbers = np.zeros(2, np.int64)
        self._addresses = tuple(map(address, (self._at, self._left, self._roused, self._numbers)))
        self._data = Address()

    def push(self, data: Bytes, epoch_ms: int) -> tuple[list[int], list[int]]:
        """Send a frame of each tap.

        Args:
            data: the frames, ``(n, octets)``, C-contiguous.
            epoch_ms: the time of day, epoch milliseconds.

        Returns:
            Places of the frames that were not sent, and ids of streams of which a part was sent.
        """
        at, left, roused, numbers = self._addresses
        self._code.push(
            at, len(self._taps), self._data.of(data), data.shape[1], epoch_ms, left, roused, numbers
        )
        lefts, rouses = self._numbers.tolist()
        ids = [tap.queue.id for row in self._roused[:rouses].tolist() if (tap := self._taps[row])]
        return self._left[:lefts].tolist(), ids


def epoch_ms() -> int:
    """Return the time of day, epoch milliseconds."""
    return int(time.time() * 1000)
