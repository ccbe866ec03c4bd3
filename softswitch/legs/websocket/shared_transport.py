"""A WebSocket that the media engine's tick reads and writes, and the event loop in between (docs/adr/0051).

The tick reads audio straight into the queue of its port, and sends what the port hears. The loop gets
everything else, and never reads at the same time: its transport is paused meanwhile. Both may write whole
frames in turn; where the kernel does not take all of one, the transport alone writes for a while.

Nothing is lost or comes out of its order: the tick stops at the first frame that it does not take, and what
it has read from there on goes to the protocol before the loop, or the tick, reads on.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final, Protocol, cast

from softswitch.legs.websocket.frame_reader import FrameReader
from softswitch.legs.websocket.frames import BINARY, MASKED, header

AGAIN_S: Final = 0.01
"""Time after which the loop looks whether the tick may go on, in seconds."""


class FeedSocket(Protocol):
    """The end of the tick: the queue of a port (:class:`.media.feeds.feed_queue.CompiledFifo`) or stream."""

    @property
    def reads(self) -> bool:
        """Whether the tick reads, or is about to."""

    @property
    def is_reading(self) -> bool:
        """Whether it does so already."""

    @property
    def is_shared(self) -> bool:
        """Whether the tick may write."""

    @property
    def ended(self) -> int:
        """What the tick found at the end of the connection: an errno; -1: the peer closed it; 0: no end."""

    @property
    def heard(self) -> int:
        """Number of reads by the tick."""

    def connect(self, fd: int, most: int, *, listens: bool) -> None:
        """Take the socket, which is neither read nor written yet."""

    def disconnect(self) -> None:
        """Leave the socket."""

    def read(self, *, on: bool) -> None:
        """Let the tick read, or not."""

    def read_now(self) -> None:
        """Read as the tick does."""

    def write(self, handed: int) -> bool:
        """Let the tick write; return False where it has left more than `handed` frames to the loop."""

    def send(self, data: bytes) -> int:
        """Write; return how many bytes the kernel took."""

    def take_strays(self) -> bytes:
        """Return what the tick has read for the loop."""

    def take_rest(self) -> bytes:
        """Return what the tick has begun to write."""

    def take_begun(self) -> tuple[bytes, int, bytes]:
        """Return the header that the tick has begun to read; what a payload lacks in bytes, and its mask."""


class SharedTransport:
    """The loop's end of one connection; has the methods of a transport that writers use."""

    def __init__(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        frames: FrameReader,
        queue: FeedSocket,
        *,
        listens: bool,
        reads: bool = True,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """Leave a connection to the tick, as soon as all is ordinary.

        Args:
            transport: the connection, without TLS.
            protocol: gets what the tick leaves.
            frames: reads frames for the protocol.
            queue: of the port that the audio is for.
            listens: whether the tick sends what the port hears.
            reads: whether the tick reads.
            may_write: returns whether the loop has nothing that must be written before what the tick sends.

        Raises:
            OSError: no descriptor is left, or the connection is closed.
        """
        self._may_read, self._may_write = reads, may_write
        self._transport, self._protocol, self._frames, self._queue = transport, protocol, frames, queue
        # A duplicate: the transport closes its own, whose number may then be that of another connection.
        self._fd = os.dup(transport.get_extra_info("socket").fileno())
        self._handled = 0
        """Frames that the tick left to the loop and that were written, or dropped."""
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self._loop = asyncio.get_running_loop()
        self._watches = False
        """Whether the loop is woken where more than the usual message waits."""
        queue.connect(self._fd, frames.most, listens=listens)
        self._again()

    @property
    def heard(self) -> int:
        """Number of reads by the tick."""
        return self._queue.heard

    # --- as a transport -----------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write whole frames: at once, or behind what waits."""
        sent = 0 if self._is_over else self._queue.send(data)
        if sent < len(data):
            self._write_on(data[sent:])

    def is_closing(self) -> bool:
        """Tell whether the connection is closed, or about to be."""
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that the kernel has not taken."""
        return self._transport.get_write_buffer_size()

    # --- with the tick --------------------------------------------------------------------

    def handled(self) -> None:
        """Note that a frame which the tick has left is written, or about to be, or dropped."""
        self._handled += 1

    def look(self) -> None:
        """See to what the tick has left."""
        if self._is_over or self._transport.is_closing():
            return
        if not self._queue.is_shared:
            self._write_on(b"")
        self._look_on()

    def _look_on(self) -> None:
        if not self._may_read:
            return
        if not self._queue.reads:
            self._read_on()
        elif not self._watches:
            self._watch_on()

    def _watch_on(self) -> None:
        """Be woken between two ticks, once the tick reads: what it does not read yet would always wake."""
        if self._queue.is_reading:
            self._watch(on=True)
        else:
            self._watch(on=False)
            self._later()

    def _watch(self, *, on: bool) -> None:
        if on and not self._watches:
            self._loop.add_reader(self._fd, self._early)
        elif self._watches and not on:
            self._loop.remove_reader(self._fd)
        self._watches = on

    def _early(self) -> None:
        """Read between two ticks: a command behind audio does not wait for the next one."""
        self._queue.read_now()
        if not self._queue.reads:
            self._watch(on=False)
            self.look()

    def end(self) -> None:
        """Leave the connection to the loop alone; idempotent."""
        if self._is_over:
            return
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._watch(on=False)
        queue = self._queue
        queue.disconnect()
        os.close(self._fd)
        self._frames.heard += queue.heard
        rest, strays = queue.take_rest(), queue.take_strays()
        head, lacking, mask = queue.take_begun()
        if self._transport.is_closing():
            return
        if rest:
            self._transport.write(rest)
        # The rest of a message is a message: audio comes in pieces of any size.
        begun = header(BINARY, lacking, MASKED) + mask if lacking else head
        if strays or begun:
            self._protocol.data_received(strays + begun)
        self._resume()

    def _write_on(self, data: bytes) -> None:
        rest = self._queue.take_rest()
        if (rest or data) and not self._transport.is_closing():
            self._transport.write(rest + data)
        self._later()

    def _read_on(self) -> None:
        """Read what the tick has left, then let it read on, or the loop where that is not possible yet."""
        strays = self._queue.take_strays()
        if strays:
            self._protocol.data_received(strays)
        if self._queue.ended > 0:
            # An error of a socket is told once.
            self._transport.abort()
        if self._is_over or self._transport.is_closing():
            return
        if self._frames.is_between and not self._queue.ended and not self._is_paused:
            self._queue.read(on=True)
            self._transport.pause_reading()
            self._watch_on()
            return
        self._watch(on=False)
        self._resume()
        if not (self._queue.ended or self._frames.is_over):
            self._later()

    @property
    def _is_paused(self) -> bool:
        # Private to aiohttp 3.14: it has more messages than it wants, and resumes when they are read.
        return bool(getattr(self._protocol, "_reading_paused", False))

    def _resume(self) -> None:
        if not self._is_paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def _later(self) -> None:
        if self._timer is None and not self._is_over:
            self._timer = self._loop.call_later(AGAIN_S, self._again)

    def _again(self) -> None:
        self._timer = None
        if self._is_over or self._transport.is_closing():
            return
        if not self._queue.is_shared and (
            self._transport.get_write_buffer_size()
            or not self._may_write()
            or not self._queue.write(self._handled)
        ):
            self._write_on(b"")
        self._look_on()


def share(
    transport: asyncio.BaseTransport,
    protocol: asyncio.Protocol,
    frames: FrameReader,
    queue: FeedSocket,
    *,
    listens: bool,
    reads: bool = True,
    may_write: Callable[[], bool] = lambda: True,
) -> SharedTransport | None:
    """Share a connection with the tick; None where that is not possible: TLS, no socket, no descriptor."""
    if (
        transport.is_closing()
        or transport.get_extra_info("ssl_object") is not None
        or transport.get_extra_info("socket") is None
    ):
        return None
    try:
        # A transport of uvloop is one by its methods only.
        both_ways = cast("asyncio.Transport", transport)
        return SharedTransport(
            both_ways, protocol, frames, queue, listens=listens, reads=reads, may_write=may_write
        )
    except (OSError, ValueError):
        return None
