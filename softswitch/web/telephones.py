"""SIP over WebSocket for browser phones, and the state of trunks and users."""

from aiohttp import WSMsgType, web

from softswitch.settings import Limits
from softswitch.web.keys import FEED, SETTINGS, SIP, SipSide
from softswitch.web.server_socket import ServerSocket

PROTOCOL = "sip"
"""The sub-protocol of RFC 7118."""
MAX_MESSAGE = 65536


async def sip_websocket(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /sip``: a browser phone, which authenticates in SIP itself, or an event feed."""
    offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise web.HTTPBadRequest(text="this is a WebSocket: connect with Upgrade: websocket")
    if PROTOCOL not in offered:
        return await request.app[FEED](request)
    side = _side(request)
    limits: Limits = request.app[SETTINGS].limits
    ws = ServerSocket(most=MAX_MESSAGE, heartbeat_s=limits.heartbeat_s, protocols=(PROTOCOL,))
    await ws.prepare(request)

    async def receive() -> str | bytes | None:
        message = await ws.receive()
        data: str | bytes | None = (
            message.data if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None
        )
        return data

    async def send(data: bytes) -> None:
        # JsSIP and SIP.js read text frames; a message that is not UTF-8 goes as a binary frame.
        try:
            await ws.send_str(data.decode())
        except UnicodeDecodeError:
            await ws.send_bytes(data)

    try:
        await side.serve_websocket(receive, send, peer(request), secure=request.secure)
    finally:
        await ws.close()
    return ws


def peer(request: web.Request) -> tuple[str, int]:
    """Return address and port of the client; a trusted proxy names the address."""
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    port = int(name[1]) if isinstance(name, tuple) else 0
    return request.remote or "", port


def _side(request: web.Request) -> SipSide:
    side = request.app.get(SIP)
    if side is None:
        raise web.HTTPServiceUnavailable(text="SIP is switched off: [sip] enabled")
    return side
