"""``/call``, ``/call/webrtc``, ``/call/sip`` and what an administrator does with curl (wire-call §1)."""

import asyncio
import re
import time

import msgspec
from aiohttp import web

from softswitch.call.commands import CommandRejected
from softswitch.call.events import Event
from softswitch.dialects.instants import rfc3339
from softswitch.dialects.rustpbx import parse, render
from softswitch.endpoints.frame_reader import watch_frames
from softswitch.endpoints.ice import ice_servers as ice_grants
from softswitch.settings import Limits
from softswitch.switch.conversation import Conversation, Source
from softswitch.switch.switch import CallView, Origin
from softswitch.web.auth import IDENTITY, PROTOCOL
from softswitch.web.keys import LINES, SETTINGS, SWITCH, WEBRTC
from softswitch.web.session import Connection, Session, Wish

ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.@:-]{0,127}")
_BOOLEANS = {"true": True, "1": True, "": True, "false": False, "0": False}


async def websocket_call(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /call``: audio in binary messages of this very socket."""
    return await _serve(request, "websocket")


async def webrtc_call(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /call/webrtc``: audio by WebRTC."""
    return await _serve(request, "webrtc")


async def sip_call(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /call/sip``: audio by SIP and RTP; the id of a call that waits attaches to it."""
    return await _serve(request, "sip")


async def _serve(request: web.Request, kind: str) -> web.StreamResponse:
    switch, limits = request.app[SWITCH], request.app[SETTINGS].limits
    wish = read_wish(request, kind, limits)
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise _bad("this is a WebSocket: connect with Upgrade: websocket")
    source = Source("outbound" if kind == "sip" else "inbound")
    origin = Origin(request[IDENTITY].name, request.remote or "", source)
    returning = waiting = None
    if wish.token:
        returning = switch.reattach(wish.call_id or "", wish.token, origin)
    elif kind == "sip" and (waiting := switch.pending(wish.call_id)):
        switch.take(waiting, origin, resumable=wish.resume_s > 0)
    else:
        switch.check(wish.call_id, origin)
    ws = web.WebSocketResponse(
        heartbeat=wish.heartbeat_s,
        max_msg_size=max(limits.audio_message_bytes, limits.message_bytes),
        compress=False,
        protocols=(PROTOCOL,),
        timeout=2.0,
    )
    metrics = switch.resources.metrics
    known = returning or waiting
    with switch.reserved(None if known else wish.call_id), metrics.sockets_active.track_inprogress():
        await ws.prepare(request)
        transport = request.transport
        if transport is not None:
            connection = Connection(transport, watch_frames(request.protocol))
            session = Session(ws, connection, switch, request.app[LINES], wish, origin)
            if returning is not None:
                await session.resume(returning)
            elif waiting is not None:
                await session.accept(waiting)
            else:
                await session.begin(request.app[WEBRTC])
        elif waiting is not None:
            waiting.end("user_requested", "user")
    return ws


def read_wish(request: web.Request, kind: str, limits: Limits) -> Wish:
    """Read the query; raises HTTPBadRequest naming the parameter."""
    query = request.query
    wanted = query.get("id") or None
    if wanted is not None and not ID.fullmatch(wanted):
        raise _bad(f"id must match {ID.pattern}")
    dump = _BOOLEANS.get(query.get("dump", "true").lower())
    if dump is None:
        raise _bad("dump must be true, false, 1 or 0")
    try:
        ping = float(query.get("ping") or limits.heartbeat_s)
        since = int(query.get("seq") or 0)
    except ValueError:
        raise _bad("ping and seq must be numbers") from None
    resume, token, resume_s = query.get("resume", ""), "", 0.0
    if resume.isdecimal() and len(resume) <= 4:
        resume_s = min(float(resume), 600.0)
    elif resume:
        token = resume
    return Wish(kind, wanted, dump, min(max(ping, 1.0), 300.0), resume_s, token, since)


# --- for an administrator with curl ---------------------------------------------------


async def list_calls(request: web.Request) -> web.Response:
    """Serve ``GET /call/lists``."""
    views = request.app[SWITCH].views()
    return web.json_response({"calls": [_shown(view) for view in views]})


async def get_call(request: web.Request) -> web.Response:
    """Serve ``GET /call/{id}``."""
    switch = request.app[SWITCH]
    return web.json_response(_shown(switch.view(_found(request))))


async def kill_call(request: web.Request) -> web.Response:
    """Serve ``POST /call/kill/{id}``."""
    killed = request.app[SWITCH].kill(request.match_info["id"])
    return web.json_response(killed, status=200 if killed else 404)


async def ice_servers(request: web.Request) -> web.Response:
    """Serve ``GET /iceservers``."""
    user = request[IDENTITY].name or "softswitch"
    grants = ice_grants(request.app[SETTINGS].ice, now=time.time(), user=user)
    return web.json_response(body=msgspec.json.encode(grants))


async def post_command(request: web.Request) -> web.Response:
    """Serve ``POST /command/{id}``: any command of the dialect."""
    conversation = _found(request)
    limits = request.app[SETTINGS].limits
    if (request.content_length or 0) > limits.message_bytes:
        raise web.HTTPRequestEntityTooLarge(limits.message_bytes, request.content_length or 0)
    try:
        conversation.command(parse(await request.read()))
    except CommandRejected as rejected:
        status = rejected.code if 400 <= rejected.code < 500 else 400
        body = {"error": {"code": rejected.code, "message": rejected.error}}
        return web.json_response(body, status=status)
    return web.json_response({"success": True})


async def follow_events(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /events/{id}``: the events of one call as server-sent events."""
    conversation = _found(request)
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    follower = _Follower(request.app[SETTINGS].limits.events_kept)
    conversation.subscribe(follower)
    try:
        while (text := await follower.next(request.app[SETTINGS].limits.heartbeat_s)) is not None:
            await response.write(text.encode())
    finally:
        conversation.unsubscribe(follower)
    return response


class _Follower:
    """A subscriber that reads at its own pace, within bounds."""

    def __init__(self, bound: int) -> None:
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(bound + 1)
        self._bound = bound

    def event(self, event: Event, seq: int) -> None:
        """Queue an event; a reader that is too slow is told to go."""
        if self._queue.qsize() < self._bound:
            self._queue.put_nowait(f"id: {seq}\ndata: {render(event, seq)}\n\n")
        else:
            self.close(1013, "")

    def audio(self, side: int, pcm: bytes) -> None:
        """Leave audio out."""

    def close(self, code: int, reason: str) -> None:
        """End the stream behind what waits."""
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def next(self, patience_s: float) -> str | None:
        """Return the next piece of the stream: an event, or a comment that keeps the connection alive."""
        try:
            return await asyncio.wait_for(self._queue.get(), patience_s)
        except TimeoutError:
            return ": still here\n\n"


def _found(request: web.Request) -> Conversation:
    conversation = request.app[SWITCH].find(request.match_info["id"])
    if conversation is None:
        raise web.HTTPNotFound(text="no call with this id")
    return conversation


def _shown(view: CallView) -> dict[str, object]:
    return {
        "id": view.id,
        "call_type": view.kind,
        "created_at": rfc3339(view.created_ms),
        "option": view.option,
        "state": view.state,
        "caller": view.caller,
        "callee": view.callee,
        "duration": view.duration_ms,
        "direction": view.source.direction,
        "trunk": view.source.trunk,
        "user": view.source.user,
    }


def _bad(text: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=text)
