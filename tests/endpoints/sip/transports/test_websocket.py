"""The adapter between the web server's sockets and SIP."""

import asyncio

import pytest

from softswitch.endpoints.sip.transports import WireLimits
from tests.endpoints.sip.transports.wires import MESSAGE, wires


class Browser:
    """Pretend to be a WebSocket."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive(self):
        return await self.said.get()

    async def send(self, data: bytes) -> None:
        await self.heard.put(data)


@pytest.mark.parametrize(("secure", "transport"), [(False, "ws"), (True, "wss")])
async def test_messages_travel_both_ways_as_text_or_bytes(secure, transport):
    browser = Browser()
    async with wires() as here, asyncio.TaskGroup() as tasks:
        tasks.create_task(
            here.transports.serve_websocket(browser.receive, browser.send, ("192.0.2.7", 4711), secure=secure)
        )
        browser.said.put_nowait(MESSAGE.decode())
        browser.said.put_nowait(MESSAGE)
        data, flow = await here.inbox.message()
        assert data == (await here.inbox.message())[0] == MESSAGE
        assert (flow.transport, flow.host, flow.port) == (transport, "192.0.2.7", 4711)
        here.send(b"answer", flow)
        assert await browser.heard.get() == b"answer"
        browser.said.put_nowait("\r\n\r\n")
        assert await browser.heard.get() == b"\r\n"
        browser.said.put_nowait(None)
        async with asyncio.timeout(10):
            assert await here.inbox.lost.get() == flow


async def test_browser_that_takes_nothing_is_closed():
    browser = Browser()
    stuck = asyncio.Event()

    async def never(data: bytes) -> None:
        await stuck.wait()

    async with wires(limits=WireLimits(send_bytes=1000)) as here, asyncio.TaskGroup() as tasks:
        tasks.create_task(here.transports.serve_websocket(browser.receive, never, ("192.0.2.7", 1)))
        browser.said.put_nowait(MESSAGE)
        _, flow = await here.inbox.message()
        for _ in range(30):
            here.send(b"x" * 100, flow)
            await asyncio.sleep(0)
        assert here.failed.is_set()
        stuck.set()
        async with asyncio.timeout(10):
            assert await here.inbox.lost.get() == flow


async def test_browser_beyond_the_bounds_is_not_served():
    async with wires(limits=WireLimits(connections=0)) as here:
        browser = Browser()
        await here.transports.serve_websocket(browser.receive, browser.send, ("192.0.2.7", 1))
        assert here.counters.connections_refused == 1


async def test_stopping_ends_what_is_served():
    browser = Browser()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10), wires() as here:
        tasks.create_task(here.transports.serve_websocket(browser.receive, browser.send, ("192.0.2.7", 1)))
        browser.said.put_nowait(MESSAGE)
        await here.inbox.message()
