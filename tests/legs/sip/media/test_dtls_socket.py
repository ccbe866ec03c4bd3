import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from softswitch.legs.sip.media.dtls_socket import GRACE_S, DtlsSocket
from softswitch.legs.webrtc.source_filter import Drops
from tests.support.icmp import closed_port, provoke
from tests.support.waiting import until

pytestmark = pytest.mark.each_loop

MEDIA = b"\x80" + bytes(19)
HELLO = b"\x16\xfe\xff" + bytes(20)


class Place:
    """A socket, a clock, and what it tells."""

    def __init__(self, far: tuple[str, int]) -> None:
        self.now = 100.0
        self.drops = Drops()
        self.media: list[bytes] = []
        self.moves: list[tuple[str, int]] = []
        self.udp = udp()
        self.address = self.udp.getsockname()
        self.socket = DtlsSocket(self.udp, far, self, self.drops, lambda: self.now)

    def media_arrived(self, socket: DtlsSocket, datagram: bytes) -> None:
        self.media.append(datagram)

    def source_changed(self, socket: DtlsSocket) -> None:
        self.moves.append(socket.target)

    def association_closed(self, socket: DtlsSocket) -> None:
        raise AssertionError

    async def hears(self, far: socket.socket, datagram: bytes) -> None:
        """Send, and wait until that was read."""
        seen = self.seen()
        far.sendto(datagram, self.address)
        await until(lambda: self.seen() > seen)

    async def until_errors(self, number: int) -> None:
        """Wait until so many errors came back."""
        await until(lambda: self.drops.socket_errors >= number)

    def seen(self) -> int:
        return sum(self.drops.numbers().values()) + len(self.media)


def udp(port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind(("127.0.0.1", port))
    return made


@asynccontextmanager
async def place() -> AsyncIterator[tuple[Place, socket.socket, socket.socket]]:
    far, other = udp(), udp()
    made = Place(far.getsockname())
    try:
        yield made, far, other
    finally:
        await made.socket.close()
        for item in (made.udp, far, other):
            item.close()


async def test_announced_peer_is_heard_at_once() -> None:
    async with place() as (made, far, _):
        await made.hears(far, MEDIA)
        assert (made.media, made.moves) == ([MEDIA], [])


async def test_stranger_is_not_heard_before_the_peer_had_time() -> None:
    async with place() as (made, far, other):
        await made.hears(other, MEDIA)
        assert (made.media, made.drops.stranger) == ([], 1)
        await made.hears(far, MEDIA)
        made.now += GRACE_S + 5
        await made.hears(far, MEDIA)
        await made.hears(other, MEDIA)
        assert (made.media, made.drops.stranger) == ([MEDIA, MEDIA], 2)


async def test_peer_elsewhere_is_found_after_a_second() -> None:
    async with place() as (made, far, other):
        made.now += GRACE_S
        await made.hears(other, MEDIA)
        assert made.moves == [other.getsockname()]
        await made.hears(far, MEDIA)
        assert made.moves == [other.getsockname(), far.getsockname()]
        assert made.socket.target == far.getsockname()


async def test_announcing_another_address_looks_there() -> None:
    async with place() as (made, far, other):
        await made.hears(far, MEDIA)
        made.socket.move(other.getsockname())
        assert made.socket.announced == made.socket.target == other.getsockname()
        await made.hears(far, MEDIA)
        await made.hears(other, MEDIA)
        assert len(made.media) == 2
        assert made.drops.stranger == 1


async def test_what_is_no_dtls_and_no_media_is_dropped_by_its_kind() -> None:
    async with place() as (made, far, _):
        for datagram, counter in [
            (b"", "empty"),
            (b"\x80", "unknown_kind"),
            (bytes(20), "unknown_kind"),
            (MEDIA + bytes(1600), "oversized"),
        ]:
            before = made.drops.numbers()[counter]
            await made.hears(far, datagram)
            assert made.drops.numbers()[counter] == before + 1
        assert made.media == []
        far.sendto(HELLO, made.address)  # of no association
        await made.hears(far, MEDIA)


async def test_closed_socket_is_read_no_more() -> None:
    async with place() as (made, far, _):
        await made.socket.close()
        far.sendto(MEDIA, made.address)
        await asyncio.sleep(0.01)
        assert made.media == []


async def test_errors_end_no_reception_of_an_unconnected_socket() -> None:
    async with place() as (made, far, _):
        with closed_port() as closed:
            for number in range(1, 6):
                await provoke(made.udp, closed, times=number)
                await made.hears(far, MEDIA)
                assert len(made.media) == number


async def test_errors_end_no_reception_of_a_connected_socket() -> None:
    async with place() as (made, first, _):
        address = first.getsockname()
        made.udp.connect(address)
        first.close()
        for number in range(1, 6):
            await provoke(made.udp, None, times=number)
            await made.until_errors(number)
            with udp(address[1]) as far:
                await made.hears(far, MEDIA)
            assert len(made.media) == number
            assert made.drops.socket_errors >= number
