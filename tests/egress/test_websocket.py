"""WebSockets outwards."""

import aiohttp
import pytest
from aiohttp import web

from softswitch.egress.errors import EgressFailed, EgressRefused, HandshakeRefused
from softswitch.egress.http import EgressClient
from softswitch.egress.websocket import connect
from tests.egress.conftest import Authority, Canary, Names, Serve

LOOPBACK = ["127.0.0.1/32"]


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("audio.v1",))
    await socket.prepare(request)
    await socket.send_str(request.headers.get("X-Key", ""))
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT and message.data == "big":
            await socket.send_bytes(bytes(5000))
        elif message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


async def test_connect_carries_text_and_bytes(serve: Serve, names: Names) -> None:
    port = await serve(web.get("/s", echo))
    names.answers = {"stream.example": [["127.0.0.1"]]}
    egress = EgressClient(allow=LOOPBACK, resolve=names)
    url = f"ws://stream.example:{port}/s"
    async with await connect(egress, url, headers={"X-Key": "k"}, protocols=("audio.v1",)) as socket:
        assert socket.protocol == "audio.v1"
        assert await socket.receive() == "k"
        await socket.send("text")
        await socket.send(b"\x00\x01")
        assert await socket.receive() == "text"
        assert await socket.receive() == b"\x00\x01"
    assert socket.closed
    with pytest.raises(EgressFailed, match="the WebSocket is closed"):
        await socket.send("late")
    await socket.close()
    assert egress.counters.opened == 1


async def test_connect_ends_at_the_close_of_the_peer(serve: Serve) -> None:
    async def bye(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close(code=1013, message=b"later")
        return socket

    port = await serve(web.get("/s", bye))
    async with await connect(EgressClient(allow=LOOPBACK), f"ws://127.0.0.1:{port}/s") as socket:
        assert await socket.receive() is None
        assert socket.close_code == 1013


async def test_connect_refuses_messages_beyond_the_bound(serve: Serve) -> None:
    port = await serve(web.get("/s", echo))
    async with await connect(
        EgressClient(allow=LOOPBACK), f"ws://127.0.0.1:{port}/s", max_message=4096
    ) as socket:
        assert await socket.receive() == ""
        await socket.send("big")
        assert await socket.receive() is None


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1:%P/",
        "ws://[::1]:%P/",
        "ws://localhost:%P/",
        "ws://2130706433:%P/",
        "wss://[::ffff:127.0.0.1]:%P/",
        "http://127.0.0.1:%P/",
        "ws://user@127.0.0.1:%P/",
        "ws://127.0.0.1:22/",
        "",
    ],
)
async def test_connect_refuses_what_the_door_refuses(url: str, canary: Canary) -> None:
    egress = EgressClient()
    with pytest.raises(EgressRefused):
        await connect(egress, url.replace("%P", str(canary.port)))
    assert (canary.hits, egress.counters.refused) == (0, 1)


async def test_connect_does_not_follow_a_redirect_to_elsewhere(serve: Serve, canary: Canary) -> None:
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"]})

    port = await serve(web.get("/s", away))
    egress = EgressClient(allow=LOOPBACK)
    for place in (f"http://127.0.0.1:{canary.port}/", f"http://[::1]:{canary.port}/", "file:///etc/passwd"):
        with pytest.raises(EgressFailed, match="redirects"):
            await connect(egress, f"ws://127.0.0.1:{port}/s?to={place}")
    assert (canary.hits, egress.counters.failed) == (0, 3)


async def test_connect_fails_where_no_websocket_answers(serve: Serve, canary: Canary) -> None:
    async def plain(request: web.Request) -> web.Response:
        return web.Response(text="no")

    port = await serve(web.get("/s", plain))
    egress = EgressClient(allow=LOOPBACK)
    with pytest.raises(EgressFailed, match="speaks no WebSocket"):
        await connect(egress, f"ws://127.0.0.1:{port}/s")
    with pytest.raises(EgressFailed, match="cannot be opened"):
        await connect(egress, f"ws://127.0.0.1:{canary.port}/s")


async def test_connect_gives_up_on_a_silent_server(mute: int) -> None:
    with pytest.raises(EgressFailed, match="within"):
        await connect(EgressClient(allow=LOOPBACK, timeout_s=0.2), f"ws://127.0.0.1:{mute}/s")


async def test_connect_verifies_the_certificate(serve: Serve, names: Names, authority: Authority) -> None:
    port = await serve(web.get("/s", echo), tls=authority.context("stream.example"))
    names.answers = {"stream.example": [["127.0.0.1"]]}
    with pytest.raises(EgressFailed):
        await connect(EgressClient(allow=LOOPBACK, resolve=names), f"wss://stream.example:{port}/s")
    egress = EgressClient(allow=LOOPBACK, resolve=names, ca_file=str(authority.file))
    async with await connect(egress, f"wss://stream.example:{port}/s") as socket:
        assert await socket.receive() == ""


@pytest.mark.parametrize(
    ("status", "words", "final"),
    [
        (401, "401 Unauthorized by the stream server", True),
        (404, "404 Not Found by the stream server", True),
        (302, "302 Found: the stream server redirects", True),
        (200, "200 OK: the stream server speaks no WebSocket", True),
        (503, "503 Service Unavailable by the stream server", False),
        (429, "429 Too Many Requests by the stream server", False),
    ],
)
async def test_refused_handshake_says_its_status(serve: Serve, status: int, words: str, final: bool) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    port = await serve(web.get("/s", refuse))
    egress = EgressClient(allow=LOOPBACK)
    with pytest.raises(HandshakeRefused, match=words) as refused:
        await connect(egress, f"ws://127.0.0.1:{port}/s")
    assert (refused.value.status, refused.value.is_final) == (status, final)
    assert egress.counters.failed == 1
