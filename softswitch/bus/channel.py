"""Channel between two processes of one host: a SOCK_SEQPACKET pair that also carries descriptors."""

import array
import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

BUFFER = 4_194_304
"""Octets that the kernel buffers for each direction, where it permits so many."""
MOST_PACKET = 196_608
"""Octets of the largest packet."""
BURST = 64
"""Packets read before other work of the loop gets its turn."""
_FDS = 4
_SO_SNDBUFFORCE = 32
"""Linux: SO_SNDBUF beyond net.core.wmem_max, for processes with CAP_NET_ADMIN."""

_RIGHTS = socket.CMSG_SPACE(_FDS * 4)

OnPacket = Callable[[bytes, Sequence[int]], None]


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a channel, not blocking, with large buffers."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, BUFFER)
    return ends


class Channel:
    """One end of a channel on the running loop."""

    def __init__(
        self,
        end: socket.socket,
        on_packet: OnPacket,
        on_closed: Callable[[], None],
        *,
        waiting: int = 0,
    ) -> None:
        """Begin to read.

        Args:
            end: One end of a :func:`pair`; the channel closes it.
            on_packet: Gets each packet and the descriptors that came with it, which it owns.
            on_closed: Called once when the other end is gone, or was too slow.
            waiting: Octets that may wait for a slow reader before the channel is cut; 0: none wait, and a
                packet that the kernel does not take is dropped.
        """
        self._end = end
        self._on_packet = on_packet
        self._on_closed = on_closed
        # Octets made for each packet would take 12 us of the kernel, which maps so much memory anew.
        self._buffer = memoryview(bytearray(MOST_PACKET))
        self._most = waiting
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end.fileno(), self._readable)
        self.dropped = 0
        """Packets that the kernel or the queue did not take."""
        self.closed = False

    def send(self, data: bytes, descriptors: Sequence[int] = ()) -> bool:
        """Send a packet; False where it was dropped. Descriptors are sent at once or not at all."""
        if self.closed:
            return False
        if self._waiting and not descriptors:
            return self._wait(data)
        try:
            if descriptors:
                rights = array.array("i", descriptors)
                self._end.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            else:
                self._end.send(data)
        except (BlockingIOError, InterruptedError):
            if descriptors or not self._most:
                self.dropped += 1
                return False
            return self._wait(data)
        except OSError:
            self.dropped += 1
            self._loop.call_soon(self.close)
            return False
        return True

    def close(self) -> None:
        """Close; a second time does nothing."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._end.fileno())
        self._loop.remove_writer(self._end.fileno())
        self._end.close()
        self._waiting.clear()
        self._on_closed()

    def _wait(self, data: bytes) -> bool:
        if self._bytes + len(data) > self._most:
            # A reader that is too slow is cut, not waited for.
            self.dropped += 1
            self._loop.call_soon(self.close)
            return False
        if not self._waiting:
            self._loop.add_writer(self._end.fileno(), self._writable)
        self._waiting.append(data)
        self._bytes += len(data)
        return True

    def _writable(self) -> None:
        try:
            while self._waiting:
                self._end.send(self._waiting[0])
                self._bytes -= len(self._waiting.popleft())
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        self._loop.remove_writer(self._end.fileno())

    def _readable(self) -> None:
        self.read()

    def read(self) -> bool:
        """Read what waits, for one turn; return whether nothing is left."""
        for _ in range(BURST):
            if self.closed:
                return True
            try:
                size, rights, flags, _ = self._end.recvmsg_into([self._buffer], _RIGHTS)
            except (BlockingIOError, InterruptedError):
                return True
            except OSError:
                self.close()
                return True
            descriptors = _descriptors(rights) if rights else ()
            if not size and not descriptors:
                self.close()
                return True
            if flags & socket.MSG_TRUNC:
                self.dropped += 1
                for one in descriptors:
                    os.close(one)
                continue
            self._on_packet(bytes(self._buffer[:size]), descriptors)
        return False


def _descriptors(rights: Sequence[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in rights:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)
