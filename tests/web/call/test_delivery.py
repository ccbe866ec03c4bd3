"""Whether what was sent arrives: stalls are told once, with the moment of the last acknowledgement."""

import asyncio
import socket
import struct
import time

import pytest

from softswitch.web.call import delivery
from softswitch.web.call.delivery import Delivery, Sent, sent


class Watched:
    """A connection whose figures the test sets."""

    def __init__(self) -> None:
        self.figures: Sent | None = Sent(0, 10.0)
        self.told: list[bool] = []
        self.looks = 0
        self.looked = asyncio.Event()
        self.watch = Delivery(self._look, self.told.append)

    def _look(self) -> Sent | None:
        self.looks += 1
        self.looked.set()
        return self.figures

    async def look(self, figures: Sent | None) -> None:
        self.figures = figures
        self.looked.clear()
        await asyncio.wait_for(self.looked.wait(), 10)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(delivery, "LOOK_S", 0.001)


@pytest.mark.usefixtures("quick")
async def test_stall_and_its_end_are_told_once_each():
    watched = Watched()
    watched.watch.start()
    now = asyncio.get_running_loop().time()
    # Nothing under way: silence means nothing.
    await watched.look(Sent(0, 60.0))
    assert watched.watch.arrived_until(now) == now
    await watched.look(Sent(3, 0.4))
    await watched.look(Sent(3, 5.0))
    await watched.look(Sent(3, 5.0))
    assert watched.told == [True]
    after = asyncio.get_running_loop().time()
    assert now - 5.0 <= watched.watch.arrived_until(after) <= after - 5.0
    await watched.look(Sent(1, 0.1))
    await watched.look(Sent(0, 0.1))
    assert watched.told == [True, False]
    watched.watch.stop()


@pytest.mark.usefixtures("quick")
async def test_connection_that_cannot_tell_is_not_asked_again():
    watched = Watched()
    watched.watch.start()
    await watched.look(None)
    await asyncio.sleep(0.02)
    assert watched.looks == 1
    watched.watch.stop()


@pytest.mark.each_loop
async def test_kernel_tells_of_data_that_is_not_acknowledged():
    # A peer that never reads still acknowledges, until its buffers are full; then the data is not even sent.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        _, writer = await asyncio.open_connection(*listening.getsockname())
        peer, _ = listening.accept()
        with peer:
            await acknowledged(writer)


async def acknowledged(writer: asyncio.StreamWriter) -> None:
    writer.write(b"x" * 100)
    async with asyncio.timeout(60):
        while (found := sent(writer.transport)) is not None and found.unacknowledged:
            await asyncio.sleep(0.01)
    assert found is not None
    assert found.quiet_s < 10
    writer.transport.abort()
    await asyncio.sleep(0.05)
    assert sent(writer.transport) is None


class Plain(asyncio.BaseTransport):
    """A transport of nothing but a socket."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection

    def get_extra_info(self, name: str, default: object = None) -> socket.socket:
        assert name == "socket"
        return self._connection


def test_connection_that_was_reset_does_not_say_that_all_arrived():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = socket.create_connection(listening.getsockname())
        near, _ = listening.accept()
        with near:
            near.sendall(b"unread")
            assert sent(Plain(near)) is not None
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            far.close()
            deadline = time.monotonic() + 10
            while near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x07":
                assert time.monotonic() < deadline
                time.sleep(0.005)
            assert sent(Plain(near)) is None
