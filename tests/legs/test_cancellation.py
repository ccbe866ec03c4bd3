"""Set-ups cancelled after each of their steps leave nothing behind, on both event loops."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
from aiohttp import web

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.reports import LegAnswered
from softswitch.dialects.wavix.stream import WavixStreams
from softswitch.egress.http import EgressClient
from softswitch.egress.lookup import Addresses, Services
from softswitch.egress.names import Names
from softswitch.egress.websocket import connect
from softswitch.legs.sip.media.negotiation import SipMedia
from softswitch.legs.sip.media.shared import MediaOptions
from softswitch.legs.stream import StreamClients, StreamTerms
from softswitch.media.messages import AddRtpPort, ConnectPlain, ConnectSecure, Message, RemovePort
from softswitch.settings import Ice
from tests.legs.sip.media.media_pair import Owner, shared_of
from tests.legs.stream.test_client import Ear
from tests.legs.webrtc.rtc import LOOPBACK, Bench, FakeEngine
from tests.sdp import offers
from tests.support.leaks import cancelled_everywhere, descriptors, others, settled, steps
from tests.support.loops import LOOPS, run


async def nothing_left(before: int) -> None:
    """Assert that descriptors and tasks are as they were: what is closed is so after a few rounds."""
    assert await settled(lambda: descriptors() <= before and not others()), (descriptors(), before, others())


async def warm() -> int:
    """Return the descriptors of a loop that has done its first work."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    transport.close()
    await steps(5)
    return descriptors()


def balanced(engine: FakeEngine) -> bool:
    return len(engine.of(AddRtpPort)) == len(engine.of(RemovePort))


# --- WebRTC -------------------------------------------------------------------------------


@LOOPS
@pytest.mark.parametrize("servers", [False, True], ids=["plain", "servers"])
def test_a_webrtc_leg_that_is_hung_up_after_each_round_of_the_loop_leaves_nothing(
    loop_factory, servers: bool
) -> None:
    """`invite` and at once `hangup`: from before the leg's task begins until its answer is out."""
    ice = (
        Ice(host_addresses=("127.0.0.1", "127.0.0.2"), stun=("stun:stun.silent:3478",))
        if servers
        else LOOPBACK
    )

    async def scene() -> None:
        before = await warm()
        answered = 0
        for rounds in range(400):
            place = Bench(ice, gather_s=0.05, random=Random(rounds))
            leg = place.leg(offers.CHROME)
            leg.answer()
            await steps(rounds)
            answered += bool(place.of(LegAnswered))
            leg.hangup()
            await leg.closed()
            assert place.endpoints.legs == 0, rounds
            assert balanced(place.engine), rounds
            await nothing_left(before)
            if answered >= 3:
                return
        assert servers, "it never answers"

    run(loop_factory, scene())


@LOOPS
def test_a_crowd_of_calls_that_are_given_up_leaves_nothing(loop_factory) -> None:
    async def scene() -> None:
        before = await warm()
        place = Bench(LOOPBACK, random=Random(7))
        chance = Random(8)

        async def one(port: int) -> None:
            leg = place.leg(offers.CHROME, port=port)
            leg.answer()
            await steps(chance.randrange(40))
            leg.hangup()
            await leg.closed()

        await asyncio.gather(*(one(port) for port in range(1, 101)))
        assert place.endpoints.legs == 0
        assert balanced(place.engine)
        await nothing_left(before)

    run(loop_factory, scene())


# --- telephones ---------------------------------------------------------------------------

HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"


class OwningEngine(FakeEngine):
    """Owns the descriptors it is given until the port they are for is removed, as the real one does."""

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[int, list[int]] = {}

    def post(self, message: Message) -> None:
        self.messages.append(message)
        match message:
            case AddRtpPort():
                self._open[message.port] = []
            case ConnectPlain():
                self._open[message.port] += [fd for fd in (message.fd, message.rtcp_fd) if fd >= 0]
            case ConnectSecure():
                self._open[message.port] += [message.fd] if message.fd >= 0 else []
            case RemovePort():
                for fd in self._open.pop(message.port):
                    os.close(fd)


OFFERS = {
    "plain": HEAD + "m=audio 40000 RTP/AVP 0\r\n",
    "dtls": HEAD
    + "m=audio 40000 UDP/TLS/RTP/SAVP 0\r\na=setup:actpass\r\na=rtcp-mux\r\n"
    + f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\n",
    "ice": offers.CHROME,
}


@LOOPS
@pytest.mark.parametrize("answering", [True, False], ids=["answering", "offering"])
@pytest.mark.parametrize("kind", ["plain", "dtls", "ice"])
def test_a_telephones_media_that_are_cancelled_at_each_step_leave_nothing(
    loop_factory, answering: bool, kind: str
) -> None:
    offer = OFFERS[kind]
    wishes = {
        "plain": MediaOptions(codecs=("PCMU", "PCMA")),
        "dtls": MediaOptions(codecs=("PCMU",), srtp="dtls"),
        "ice": MediaOptions(codecs=("opus", "PCMU"), is_browser=True),
    }

    async def scene() -> None:
        before = await warm()
        engine = OwningEngine()
        shared = shared_of(engine, ports=(45000, 46999), gather_s=0.05)
        media: list[SipMedia] = []

        async def set_up() -> SipMedia:
            media.append(SipMedia(shared, 7, 100, wishes[kind], Owner()))
            await (media[-1].answer(offer) if answering else media[-1].offer())
            return media[-1]

        async def keep(made: SipMedia) -> None:
            assert made.local_sdp

        async def check(step: int) -> None:
            media[-1].close()
            await media[-1].closed()
            assert shared.sockets.in_use == 0, step
            assert not shared.relaying, step
            assert balanced(engine), step
            await nothing_left(before)

        # Plain media are set up without a wait, so that there is no step to be cancelled at.
        assert await cancelled_everywhere(set_up, keep, check) >= (kind != "plain")

    run(loop_factory, scene())


# --- outwards -----------------------------------------------------------------------------


class Book:
    """DNS that takes a moment."""

    async def addresses(self, name: str) -> Addresses:
        await steps(2)
        return Addresses(("127.0.0.1",), 0.0)

    async def services(self, name: str) -> Services:
        return Services(())


@asynccontextmanager
async def service() -> AsyncIterator[int]:
    """Serve a file and a socket; give the port."""

    async def file(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 200_000)

    async def talk(request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        async for _ in response:
            pass
        return response

    application = web.Application()
    application.add_routes([web.get("/", file), web.get("/ws", talk)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def outwards(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], act: Callable[[EgressClient, int], Awaitable[None]]
) -> None:
    """Cancel something that goes outwards at each of its steps, and count what is left."""

    async def scene() -> None:
        async with service() as port:
            names = Names(Book())
            egress = EgressClient(allow=["127.0.0.0/8"], resolve=names)
            await act(egress, port)  # once, for what is made but once
            assert await settled(lambda: not others())
            before = descriptors()

            async def work() -> None:
                await act(egress, port)

            async def keep(made: None) -> None:
                assert made is None

            async def check(step: int) -> None:
                await nothing_left(before)
                assert names.asking == names.parties == 0, step

            assert await cancelled_everywhere(work, keep, check) >= 3

    run(loop_factory, scene())


@LOOPS
def test_a_fetch_that_is_cancelled_at_each_step_leaves_nothing(loop_factory) -> None:
    async def act(egress: EgressClient, port: int) -> None:
        assert len((await egress.fetch(f"http://file.test:{port}/")).body) == 200_000

    outwards(loop_factory, act)


@LOOPS
def test_a_socket_that_is_cancelled_at_each_step_leaves_nothing(loop_factory) -> None:
    async def act(egress: EgressClient, port: int) -> None:
        async with await connect(egress, f"ws://file.test:{port}/ws", heartbeat_s=0) as socket:
            await socket.send("hello")

    outwards(loop_factory, act)


@LOOPS
def test_a_stream_that_is_cancelled_at_each_step_leaves_nothing(loop_factory) -> None:
    async def act(egress: EgressClient, port: int) -> None:
        request = StreamRequest("call", "stream", f"ws://file.test:{port}/ws", two_way=True, channel="both")
        ear = Ear()
        streams = StreamClients(egress, StreamTerms(), {"wavix": WavixStreams()})
        stream = streams(request, ear)
        ear.opened = stream.stop  # type: ignore[method-assign]
        await stream.run()
        assert streams.counters.open == 0

    outwards(loop_factory, act)
