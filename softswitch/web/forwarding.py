"""Requests that another node has to serve: they are sent there as their client sent them, and answered here.

Where this process is alone, no route passes here (docs/adr/0032).
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import WSMsgType, web
from aiohttp.typedefs import Middleware
from yarl import URL

from softswitch.bus.bus import BusError
from softswitch.cluster.cluster import Cluster
from softswitch.cluster.signing import HEADER
from softswitch.web.auth import PROTOCOL, Handler
from softswitch.web.keys import CLUSTER, RETIRING, SETTINGS
from softswitch.web.server_socket import ServerSocket

Key = Callable[[web.Request], str]
"""Returns the key of what a request names; empty: it names nothing that another node may own."""
_HOP = {
    "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "host", "content-length",
    "expect", HEADER.lower(),
}  # fmt: skip
"""Headers that concern one connection, or that only nodes may send."""
_SOCKET = "sec-websocket-"
_CALL = re.compile(
    r"/(?:call/\{id\}|call/kill/\{id\}|kill/\{id\}|events/\{id\}|command/\{id\}"
    r"|supervise/\{id\}(?:/\{supervisor\})?|calls/\{id\}/.*|v1/calls?/(?:answer/)?\{id\}(?:/.*)?)"
)
_ROOM = re.compile(r"/api/v1/rooms/\{id\}(?:/.*)?")
_SOCKETS = ("/call", "/call/", "/call/websocket", "/call/webrtc", "/call/webrtc/", "/call/sip", "/call/sip/")
NODE: web.RequestKey[str] = web.RequestKey("node", str)
"""Name of the node that sent a request, where it is from a node."""


def key_of(path: str) -> Key | None:
    """Return what reads the key of a request on a route; None: the route names nothing."""
    if _CALL.fullmatch(path):
        return lambda request: f"call:{request.match_info['id']}"
    if _ROOM.fullmatch(path):
        return lambda request: f"room:{request.match_info['id']}"
    if path in _SOCKETS:
        return _socket_key
    return None


def _socket_key(request: web.Request) -> str:
    """Return the key of a call's socket: that of the call it supervises, else of the call itself."""
    named = request.query.get("supervise") or request.query.get("id")
    return f"call:{named}" if named else ""


def forwarding(path: str, handler: Handler) -> Handler:
    """Return a handler that sends a request to the node that owns what it names, if that is another one."""
    key = key_of(path)
    if key is None:
        return handler

    async def serve(request: web.Request) -> web.StreamResponse:
        cluster = request.app[CLUSTER]
        if cluster is None or NODE in request:
            return await handler(request)
        name = key(request)
        owner = await cluster.owned.owner(name) if name else ""
        return await handler(request) if not owner else await forward(request, cluster, owner)

    return serve


async def forward(request: web.Request, cluster: Cluster, node: str) -> web.StreamResponse:
    """Have another node serve a request; raises HTTPGatewayTimeout where it gives no sign of life."""
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await pipe(request, cluster, node)
    try:
        answer = await cluster.peers.request(
            node,
            request.method,
            request.raw_path,
            headers=headers_of(request),
            data=await request.read(),
            said=request.remote or "",
        )
    except BusError:
        raise web.HTTPGatewayTimeout(
            text="the node that owns this does not answer", reason="Gateway Timeout"
        ) from None
    return await relay(request, answer)


async def relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Send a client the answer of another node."""
    async with answer:
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
        if "Content-Length" in answer.headers:
            body = await answer.read()
            return web.Response(status=answer.status, headers=kept, body=body)
        response = web.StreamResponse(status=answer.status, headers=kept)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # the client has gone
            async for piece in answer.content.iter_any():
                await response.write(piece)
        return response


def headers_of(request: web.Request) -> dict[str, str]:
    """Return the headers of a client as another node is to see them."""
    kept = {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in _HOP and not name.lower().startswith((_SOCKET, "x-forwarded-"))
    }
    return {**kept, "Host": request.host}


async def pipe(request: web.Request, cluster: Cluster, node: str) -> web.StreamResponse:
    """Connect the WebSocket of a client with one to the node that owns its call."""
    limits = request.app[SETTINGS].limits
    most = max(limits.audio_message_bytes, limits.message_bytes)
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    protocols = [name.strip() for name in offered.split(",") if name.strip()]
    path = request.raw_path
    try:
        session, base = await cluster.peers.session(node)
        signed = {
            **headers_of(request),
            HEADER: cluster.signer.sign(f"GET {path}", request.remote or ""),
        }
        far = await session.ws_connect(
            URL(base + path, encoded=True),
            headers=signed,
            protocols=protocols,
            max_msg_size=most + 1,
            autoping=True,
            compress=0,
        )
    except aiohttp.WSServerHandshakeError as error:
        return web.json_response(
            {"error": {"code": error.status, "message": error.message}}, status=error.status
        )
    except (BusError, aiohttp.ClientError, OSError):
        raise web.HTTPGatewayTimeout(text="the node that owns this does not answer") from None
    async with far:
        near = ServerSocket(most=most, heartbeat_s=limits.heartbeat_s, protocols=(PROTOCOL,))
        await near.prepare(request)
        await _join(near, far)
    return near


async def _join(near: web.WebSocketResponse, far: aiohttp.ClientWebSocketResponse) -> None:
    """Carry the messages of two WebSockets until one of them closes; the other gets the same code."""

    async def copy(
        receive: Callable[[], Awaitable[aiohttp.WSMessage]],
        text: Callable[[str], Awaitable[None]],
        binary: Callable[[bytes], Awaitable[None]],
    ) -> None:
        while True:
            message = await receive()
            if message.type is WSMsgType.TEXT:
                await text(message.data)
            elif message.type is WSMsgType.BINARY:
                await binary(message.data)
            else:
                return

    try:
        async with asyncio.TaskGroup() as tasks:
            here = tasks.create_task(copy(near.receive, far.send_str, far.send_bytes))
            there = tasks.create_task(copy(far.receive, near.send_str, near.send_bytes))
            await asyncio.wait({here, there}, return_when=asyncio.FIRST_COMPLETED)
            if there.done():
                await near.close(code=_code(far.close_code))
            else:
                await far.close(code=_code(near.close_code))
            here.cancel()
            there.cancel()
    except* ConnectionError:
        pass


def _code(code: int | None) -> int:
    """Return a code that may be sent (RFC 6455 section 7.4.1)."""
    return code if code is not None and code not in (1005, 1006, 1015) else 1001


async def send_away(request: web.Request, response: web.StreamResponse) -> None:
    """Have clients of a worker that retires connect anew (an ``on_response_prepare`` signal).

    The supervisor gives it no new connection, but a client may keep one for as long as it likes. Other nodes
    keep their connections: they ask for calls that are here.
    """
    retires = request.app.get(RETIRING)
    if (
        retires is not None
        and retires.is_set()
        and NODE not in request
        and not isinstance(response, web.WebSocketResponse)
    ):
        response.headers["Connection"] = "close"
        response.force_close()


def from_nodes() -> Middleware:
    """Return what every request passes: one that a node has signed is served as its client sent it."""

    @web.middleware
    async def pass_on(request: web.Request, handler: Handler) -> web.StreamResponse:
        signed = request.headers.get(HEADER)
        if signed is None:
            return await handler(request)
        cluster = request.app[CLUSTER]
        found = cluster.signer.check(f"{request.method} {request.raw_path}", signed) if cluster else None
        if found is None:
            return web.json_response(
                {"error": {"code": 401, "message": f"{HEADER}: the signature is not valid"}}, status=401
            )
        node, remote = found
        seen = request.clone(remote=remote) if remote else request
        seen[NODE] = node
        return await handler(seen)

    return pass_on
