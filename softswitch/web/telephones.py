"""Telephones on the web: SIP over WebSocket for browser phones, the state of trunks and users."""

import msgspec
from aiohttp import WSMsgType, web

from softswitch.settings import Limits
from softswitch.web.keys import FEED, SETTINGS, SIP, SipSide

PROTOCOL = "sip"
"""The sub-protocol of RFC 7118."""
MAX_MESSAGE = 65536


async def sip_websocket(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /sip``: a browser phone, which proves who it is in SIP itself, or a listener."""
    offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise web.HTTPBadRequest(text="this is a WebSocket: connect with Upgrade: websocket")
    if PROTOCOL not in offered:
        return await request.app[FEED](request)
    side = _side(request)
    limits: Limits = request.app[SETTINGS].limits
    ws = web.WebSocketResponse(
        heartbeat=limits.heartbeat_s,
        max_msg_size=MAX_MESSAGE,
        compress=False,
        protocols=(PROTOCOL,),
        timeout=2.0,
    )
    await ws.prepare(request)

    async def receive() -> str | bytes | None:
        message = await ws.receive()
        data: str | bytes | None = (
            message.data if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None
        )
        return data

    async def send(data: bytes) -> None:
        # JsSIP and SIP.js read text; what is no text cannot be of SIP's own and goes as it is.
        try:
            await ws.send_str(data.decode())
        except UnicodeDecodeError:
            await ws.send_bytes(data)

    try:
        await side.serve_websocket(receive, send, peer(request), secure=request.secure)
    finally:
        await ws.close()
    return ws


async def list_trunks(request: web.Request) -> web.Response:
    """Serve ``GET /admin/trunks``: each trunk and how it stands."""
    side = request.app.get(SIP)
    return _shown({"trunks": list(side.trunks()) if side is not None else []})


async def list_users(request: web.Request) -> web.Response:
    """Serve ``GET /admin/users``: each user and the devices that are registered."""
    side = request.app.get(SIP)
    return _shown({"users": list(side.users()) if side is not None else []})


def peer(request: web.Request) -> tuple[str, int]:
    """Return address and port of whoever is connected."""
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else (request.remote or "", 0)


def _side(request: web.Request) -> SipSide:
    side = request.app.get(SIP)
    if side is None:
        raise web.HTTPServiceUnavailable(text="SIP is switched off: [sip] enabled")
    return side


def _shown(body: object) -> web.Response:
    return web.json_response(body=msgspec.json.encode(body))
