"""mediaPass against a WebSocket server of the test."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web
from pytest_aiohttp.plugin import AiohttpServer

from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.commands import MediaPassOption
from softswitch.egress.http import EgressClient
from softswitch.media import messages as m
from softswitch.switch.conversation.media_pass import QUEUE, MediaPass
from tests.support.waiting import until
from tests.switch.harness import House, settle

Serve = Callable[[web.WebSocketResponse], Awaitable[None]]


class Service:
    """A server that hears raw audio and answers what the test tells it to."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.sockets: list[web.WebSocketResponse] = []

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.sockets.append(ws)
        async for message in ws:
            if message.type is WSMsgType.BINARY:
                self.heard.append(message.data)
        return ws


@pytest.fixture
async def service(aiohttp_server: AiohttpServer) -> tuple[Service, str]:
    service = Service()
    app = web.Application()
    app.router.add_get("/", service.handle)
    server = await aiohttp_server(app)
    return service, f"ws://127.0.0.1:{server.port}/"


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.resources.egress = EgressClient(("127.0.0.0/8",))
    return house


async def test_audio_passes_both_ways_until_the_service_closes(
    house: House, service: tuple[Service, str]
) -> None:
    far, url = service
    reports: list[r.Report] = []
    option = MediaPassOption(url, input_sample_rate=8000, output_sample_rate=24000, packet_bytes=320)
    task = asyncio.ensure_future(MediaPass(5, 9, house.resources, reports.append).run(option))
    await until(lambda: house.engine.told(m.AddTap))
    tap, port = house.engine.told(m.AddTap)[0], house.engine.told(m.AddFeedPort)[0]
    assert (tap.port, tap.sample_rate, tap.packet_bytes, tap.direction) == (5, 8000, 320, "inbound")
    assert (port.mix, port.sample_rate, port.listens, port.live) == (9, 24000, False, False)
    house.resources.routes.deliver(m.Output(frames=[(tap.tap, b"a" * 320)]))
    await until(lambda: far.heard)
    assert far.heard == [b"a" * 320]
    await far.sockets[0].send_bytes(b"b" * 960)
    await until(lambda: house.engine.fed)
    assert house.engine.fed == [(port.port, b"b" * 960)]
    await far.sockets[0].close()
    await asyncio.wait_for(task, 10)
    assert isinstance(reports[0], r.Refused)
    assert house.engine.told(m.RemoveTap)
    assert house.engine.told(m.RemovePort)
    assert len(house.resources.routes) == 0


async def test_service_that_is_not_there_is_told_and_costs_nothing_else(house: House) -> None:
    reports: list[r.Report] = []
    await MediaPass(5, 9, house.resources, reports.append).run(MediaPassOption("ws://127.0.0.1:8999/"))
    assert [report.sender for report in reports if isinstance(report, r.Refused)] == ["mediaPass"]
    assert not house.engine.posted


async def test_private_address_is_refused_unless_allowed(house: House) -> None:
    house.resources.egress = EgressClient(())
    reports: list[r.Report] = []
    await MediaPass(5, 9, house.resources, reports.append).run(MediaPassOption("ws://127.0.0.1:8999/"))
    assert "[egress] allow" in str(reports[0])


async def test_slow_service_loses_the_oldest_audio_and_it_is_counted(
    house: House, service: tuple[Service, str]
) -> None:
    _, url = service
    stream = MediaPass(5, 9, house.resources, lambda _: None)
    task = asyncio.ensure_future(stream.run(MediaPassOption(url)))
    await until(lambda: house.engine.told(m.AddTap))
    tap = house.engine.told(m.AddTap)[0].tap
    house.resources.routes.deliver(m.Output(frames=[(tap, b"x")] * (QUEUE + 7)))
    assert stream.dropped == 7
    task.cancel()
    await settle()
