"""SIP messages over the web server's WebSockets."""

import asyncio

import pytest

from softswitch.legs.sip.transports import TransportLimits
from tests.legs.sip.transports.wires import MESSAGE, wires


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
        async with asyncio.timeout(60):
            assert await here.inbox.lost.get() == flow


async def test_browser_that_takes_nothing_is_closed():
    browser = Browser()
    stuck = asyncio.Event()

    async def never(data: bytes) -> None:
        await stuck.wait()

    async with wires(limits=TransportLimits(send_bytes=1000)) as here, asyncio.TaskGroup() as tasks:
        tasks.create_task(here.transports.serve_websocket(browser.receive, never, ("192.0.2.7", 1)))
        browser.said.put_nowait(MESSAGE)
        _, flow = await here.inbox.message()
        for _ in range(30):
            here.send(b"x" * 100, flow)
            await asyncio.sleep(0)
        assert here.failed.is_set()
        stuck.set()
        async with asyncio.timeout(60):
            assert await here.inbox.lost.get() == flow


@pytest.mark.parametrize("trusted", [False, True])
async def test_browser_that_proves_nothing_is_closed_and_one_that_did_stays(trusted):
    now = [1000.0]
    silent, known = Browser(), Browser()
    async with wires(clock=lambda: now[0], trusted=trusted) as here, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(
            here.transports.serve_websocket(silent.receive, silent.send, ("192.0.2.7", 1))
        )
        second = tasks.create_task(
            here.transports.serve_websocket(known.receive, known.send, ("192.0.2.7", 2))
        )
        for browser in (silent, known):
            browser.said.put_nowait(MESSAGE)
        flows = [(await here.inbox.message())[1] for _ in range(2)]
        here.transports.on_proof(next(flow for flow in flows if flow.port == 2))
        now[0] += 29.0
        here.look()
        assert len(here.transports) == 2
        now[0] += 2.0
        here.look()
        async with asyncio.timeout(60):
            await first
        assert not second.done()
        assert here.counters.connections_unproved == 1
        known.said.put_nowait(None)


async def test_one_address_has_few_browsers_that_proved_nothing():
    async with wires(limits=TransportLimits(unproved=2), trusted=True) as here, asyncio.TaskGroup() as tasks:
        browsers = [Browser() for _ in range(4)]
        for port, browser in enumerate(browsers[:2], 1):
            browser.said.put_nowait(MESSAGE)
            tasks.create_task(
                here.transports.serve_websocket(browser.receive, browser.send, ("192.0.2.7", port))
            )
        flows = [(await here.inbox.message())[1] for _ in range(2)]
        await here.transports.serve_websocket(browsers[2].receive, browsers[2].send, ("192.0.2.7", 3))
        assert here.counters.connections_refused == 1
        here.transports.on_proof(flows[0])
        browsers[3].said.put_nowait(MESSAGE)
        tasks.create_task(
            here.transports.serve_websocket(browsers[3].receive, browsers[3].send, ("192.0.2.7", 4))
        )
        await here.inbox.message()
        for browser in browsers:
            browser.said.put_nowait(None)


async def test_browser_beyond_the_bounds_is_not_served():
    async with wires(limits=TransportLimits(connections=0)) as here:
        browser = Browser()
        await here.transports.serve_websocket(browser.receive, browser.send, ("192.0.2.7", 1))
        assert here.counters.connections_refused == 1


async def test_stopping_ends_what_is_served():
    browser = Browser()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(60), wires() as here:
        tasks.create_task(here.transports.serve_websocket(browser.receive, browser.send, ("192.0.2.7", 1)))
        browser.said.put_nowait(MESSAGE)
        await here.inbox.message()
