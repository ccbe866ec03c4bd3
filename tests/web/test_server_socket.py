"""How WebSockets that the switch serves are closed, on both loops and against real clients."""

import asyncio
import contextlib
import gc
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp._websocket import reader_py
from aiohttp.http_websocket import WebSocketReader

from softswitch.legs.websocket.heartbeat import Heartbeat
from softswitch.web.server_socket import ServerSocket
from tests.support.loops import LOOPS, run

MOST = 100_000
READERS = pytest.mark.parametrize(
    "reader_class", [WebSocketReader, reader_py.WebSocketReader], ids=["C", "Python"]
)
Serve = Callable[[ServerSocket], Awaitable[None]]


@asynccontextmanager
async def served(serve: Serve, heartbeat_s: float | None = None) -> AsyncIterator[str]:
    """Serve a socket; give its URL."""

    async def handle(request: web.Request) -> web.StreamResponse:
        ws = ServerSocket(most=MOST, heartbeat_s=heartbeat_s)
        await ws.prepare(request)
        await serve(ws)
        return ws

    application = web.Application()
    application.add_routes([web.get("/", handle)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def read(ws: ServerSocket) -> None:
    """Read until the end, as all who serve a socket do."""
    while not ws.closed:
        message = await ws.receive()
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            return


async def closing_while_read(ws: ServerSocket) -> None:
    closing = asyncio.ensure_future(closes(ws))
    await read(ws)
    await closing


async def closes(ws: ServerSocket) -> None:
    await asyncio.sleep(0)
    await ws.close(code=1000, message=b"bye")


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def raw_client(url: str, early: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Shake hands with bare bytes; `early` goes out in one segment with the handshake."""
    port = int(url.rsplit(":", 1)[1].strip("/"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE + early)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def hung_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    rest = b""
    with contextlib.suppress(ConnectionError):
        rest = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return rest


@LOOPS
def test_tcp_ends_after_the_peers_close(loop_factory) -> None:
    """aiohttp's own would close TCP with its Close frame: the peer's answer meets a closed port."""

    async def scene() -> None:
        async with served(closing_while_read) as url:
            reader, writer = await raw_client(url)
            assert await reader.readexactly(7) == b"\x88\x05\x03\xe8bye"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await reader.read(1)
            writer.write(b"\x88\x82\0\0\0\0\x03\xe8")
            assert await hung_up(reader, writer) == b""

    run(loop_factory, scene())


@LOOPS
def test_a_silent_peer_is_pinged_and_kept_while_it_answers(loop_factory) -> None:
    async def scene() -> None:
        async with served(read, heartbeat_s=0.2) as url:
            reader, writer = await raw_client(url)
            for _ in range(3):
                assert await reader.readexactly(2) == b"\x89\x00"
                writer.write(b"\x8a\x80\0\0\0\0")  # a pong
            assert await reader.readexactly(2) == b"\x89\x00"
            assert await hung_up(reader, writer) == b""  # no answer to this one

    run(loop_factory, scene())


@LOOPS
def test_a_socket_that_is_over_leaves_no_watch_behind(loop_factory) -> None:
    async def scene() -> None:
        async with served(closing_while_read, heartbeat_s=600) as url:
            reader, writer = await raw_client(url)
            await reader.readexactly(7)
            writer.write(b"\x88\x82\0\0\0\0\x03\xe8")
            assert await hung_up(reader, writer) == b""
        watches = [one for one in gc.get_objects() if isinstance(one, Heartbeat)]
        assert not watches, "aiohttp prepares a socket again when its handler has returned"

    gc.collect()
    run(loop_factory, scene())


@LOOPS
def test_a_peer_that_does_not_answer_is_cut_off(loop_factory, monkeypatch) -> None:
    monkeypatch.setattr("softswitch.web.server_socket.CLOSE_S", 0.05)

    async def scene() -> None:
        async with served(closing_while_read) as url:
            reader, writer = await raw_client(url)
            assert (await hung_up(reader, writer))[:4] == b"\x88\x05\x03\xe8"

    run(loop_factory, scene())


@LOOPS
def test_a_reader_that_was_cancelled_leaves_the_close_to_be_read(loop_factory) -> None:
    async def serve(ws: ServerSocket) -> None:
        reading = asyncio.ensure_future(read(ws))
        await asyncio.sleep(0)
        reading.cancel()
        await ws.close(code=1001)

    async def scene() -> None:
        async with served(serve) as url:
            reader, writer = await raw_client(url)
            assert await reader.readexactly(4) == b"\x88\x02\x03\xe9"
            writer.write(b"\x88\x82\0\0\0\0\x03\xe9")
            async with asyncio.timeout(1.5):  # less than the two seconds of one that does not answer
                assert await hung_up(reader, writer) == b""

    run(loop_factory, scene())


@LOOPS
def test_forty_clients_see_the_code_and_the_reason(loop_factory) -> None:
    async def scene() -> None:
        async with served(closing_while_read) as url, aiohttp.ClientSession() as session:

            async def one() -> tuple[int | None, str]:
                async with session.ws_connect(url) as ws:
                    message = await ws.receive()
                    return ws.close_code, str(message.extra)

            assert set(await asyncio.gather(*(one() for _ in range(40)))) == {(1000, "bye")}

    run(loop_factory, scene())


@LOOPS
def test_the_peers_code_is_echoed(loop_factory) -> None:
    async def scene() -> None:
        async with served(read) as url:
            for code, echoed in ((b"\x0f\xa1", b"\x0f\xa1"), (b"", b"\x03\xe8")):
                reader, writer = await raw_client(url)
                writer.write(bytes((0x88, 0x80 | len(code))) + b"\0\0\0\0" + code)
                assert await hung_up(reader, writer) == b"\x88\x02" + echoed

    run(loop_factory, scene())


@LOOPS
@pytest.mark.parametrize("size", [MOST + 1, 8_000_000])
@pytest.mark.parametrize("kind", ["text", "binary"])
def test_a_message_that_is_too_large_closes_with_1009(loop_factory, size: int, kind: str) -> None:
    async def scene() -> None:
        stopped: list[bool] = []

        async def serve(ws: ServerSocket) -> None:
            ws.parting = lambda: stopped.append(True)
            await read(ws)

        async with served(serve) as url, aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
            with contextlib.suppress(ConnectionError):
                await (ws.send_str("x" * size) if kind == "text" else ws.send_bytes(b"x" * size))
            message = await ws.receive()
            assert (message.type, ws.close_code) == (WSMsgType.CLOSE, 1009)
            assert message.extra == f"a message is larger than {MOST} bytes"
        assert stopped == [True]

    run(loop_factory, scene())


@LOOPS
def test_a_message_as_large_as_it_may_be_is_taken_and_fragments_count_together(loop_factory) -> None:
    async def scene() -> None:
        sizes: list[int] = []

        async def serve(ws: ServerSocket) -> None:
            while (message := await ws.receive()).type is WSMsgType.TEXT:
                sizes.append(len(message.data))

        async with served(serve) as url:
            reader, writer = await raw_client(url)
            half = (MOST // 2).to_bytes(8)
            for first in (0x01, 0x80, 0x01, 0x00, 0x80):
                writer.write(bytes((first, 0xFF)) + half + b"\0\0\0\0" + b"x" * (MOST // 2))
            head = await reader.readexactly(4)
            assert head[0] == 0x88
            assert head[2:] == (1009).to_bytes(2)
            writer.write(b"\x88\x82\0\0\0\0\x03\xf1")
            await hung_up(reader, writer)
        assert sizes == [MOST]

    run(loop_factory, scene())


@READERS
@LOOPS
@pytest.mark.parametrize("is_early", [False, True], ids=["after", "with the handshake"])
@pytest.mark.parametrize("first", [0x81, 0x82, 0x89, 0x88])
def test_frames_without_a_mask_close_with_1002(
    loop_factory, first: int, is_early: bool, reader_class, monkeypatch
) -> None:
    monkeypatch.setattr("aiohttp.web_ws.WebSocketReader", reader_class)

    async def scene() -> None:
        heard: list[object] = []

        async def serve(ws: ServerSocket) -> None:
            while (message := await ws.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                heard.append(message.data)

        async with served(serve) as url:
            wire = bytes((first, 2)) + b"\x03\xe8"
            reader, writer = await raw_client(url, wire if is_early else b"")
            if not is_early:
                writer.write(wire)
            head = await reader.readexactly(4)
            assert (head[0], head[2:]) == (0x88, (1002).to_bytes(2))
            writer.write(b"\x88\x82\0\0\0\0\x03\xea")
            assert b"masked" in await hung_up(reader, writer)
        assert heard == []

    run(loop_factory, scene())


@READERS
@LOOPS
@pytest.mark.parametrize("code", [1004, 1005, 1006, 1015, 2999, 5000, 65535])
def test_close_codes_that_are_never_sent_are_answered_with_1002_at_once(
    loop_factory, code: int, reader_class, monkeypatch
) -> None:
    monkeypatch.setattr("aiohttp.web_ws.WebSocketReader", reader_class)

    async def scene() -> None:
        async with served(read) as url:
            reader, writer = await raw_client(url)
            writer.write(b"\x88\x82\0\0\0\0" + code.to_bytes(2))
            async with asyncio.timeout(1.5):  # no wait for a second Close
                rest = await hung_up(reader, writer)
            assert (rest[0], rest[2:4]) == (0x88, (1002).to_bytes(2))

    run(loop_factory, scene())


@LOOPS
def test_frames_that_come_with_the_handshake_are_read_from_their_beginning(loop_factory) -> None:
    async def scene() -> None:
        heard: list[str] = []

        async def serve(ws: ServerSocket) -> None:
            while (message := await ws.receive()).type is WSMsgType.TEXT:
                heard.append(message.data)

        async with served(serve) as url:
            reader, writer = await raw_client(url, b"\x81\x85\0\0\0\0hello" + b"\x81\x85\0\0")
            writer.write(b"\0\0again" + b"\x88\x80\0\0\0\0")
            await hung_up(reader, writer)
        assert heard == ["hello", "again"]

    run(loop_factory, scene())


@LOOPS
@pytest.mark.parametrize("version", ["8", "7", "0", "14", "", "13, 8"])
def test_other_versions_are_refused_with_the_one_that_is_spoken(loop_factory, version: str) -> None:
    async def scene() -> None:
        async with served(read) as url, aiohttp.ClientSession() as session:
            headers = {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Version": version,
            }
            async with session.get(url.replace("ws:", "http:"), headers=headers) as response:
                assert (response.status, response.headers["Sec-WebSocket-Version"]) == (426, "13")

    run(loop_factory, scene())


async def test_a_request_behind_a_refused_handshake_is_served() -> None:
    async with served(read) as url:
        port = int(url.rsplit(":", 1)[1].strip("/"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        bad = HANDSHAKE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short")
        writer.write(bad + b"GET /absent HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = await hung_up(reader, writer)
        assert re.findall(rb"HTTP/1.1 ([0-9]+)", answers) == [b"400", b"404"]
