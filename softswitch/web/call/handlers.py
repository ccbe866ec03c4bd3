"""The routes of the /call API: its WebSockets, and REST for administrators."""

import asyncio
import re
import secrets
import time
from functools import partial

import msgspec
from aiohttp import web

from softswitch.call.vocabulary.events import Event
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.dialects.rustpbx import parse, render
from softswitch.dialects.wording import words
from softswitch.legs.webrtc.ice import ice_servers as ice_grants
from softswitch.protocol.instants import rfc3339
from softswitch.settings import Limits
from softswitch.switch.directory import CallHandle, CallSnapshot
from softswitch.switch.origin import Origin, Source
from softswitch.web.auth import IDENTITY, PROTOCOL, principal
from softswitch.web.call.client_session import CallQuery, Connection, Session
from softswitch.web.call.line import LINES
from softswitch.web.expiry import EXPIRED, POLICY_VIOLATION, Expiry
from softswitch.web.keys import CALLS, RESOURCES, SETTINGS, WARM, WEBRTC
from softswitch.web.server_socket import ServerSocket

ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.@:-]{0,127}")
_BOOLEANS = {"true": True, "1": True, "": True, "false": False, "0": False}


async def websocket_call(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /call``: audio in binary messages of the same socket."""
    return await _serve(request, "websocket")


async def webrtc_call(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /call/webrtc``: audio by WebRTC."""
    request.app[WARM]()
    return await _serve(request, "webrtc")


async def sip_call(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /call/sip``: audio by SIP and RTP; the id of a call that waits attaches to it."""
    return await _serve(request, "sip")


async def _serve(request: web.Request, kind: str) -> web.StreamResponse:
    calls, limits = request.app[CALLS], request.app[SETTINGS].limits
    query = read_query(request, kind, limits)
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise _bad("this is a WebSocket: connect with Upgrade: websocket")
    source = Source("outbound" if kind == "sip" else "inbound")
    by = principal(request)
    origin = Origin(by.account, request.remote or "", source, by)
    returning = waiting = None
    if query.token:
        returning = await calls.reattach(query.call_id or "", query.token, origin)
    elif kind == "sip":
        waiting = await calls.take(query.call_id, origin, resumable=query.resume_s > 0)
    if returning is None and waiting is None:
        calls.check(query.call_id, origin)
        calls.admit()
    ws = ServerSocket(
        most=max(limits.audio_message_bytes, limits.message_bytes),
        heartbeat_s=query.heartbeat_s,
        protocols=(PROTOCOL,),
    )
    resources = request.app[RESOURCES]
    known = returning or waiting
    with (
        calls.reserved(None if known else query.call_id),
        resources.metrics.sockets_active.track_inprogress(),
    ):
        await ws.prepare(request)
        transport = request.transport
        if transport is not None:
            connection = Connection(transport, ws.frames, request.protocol)
            session = Session(
                ws, connection, calls, resources, request.app[LINES], query=query, origin=origin
            )
            # The call ends with its socket, or waits for a client that comes back with a fresh token.
            expiry = Expiry(request[IDENTITY], partial(session.socket.close, POLICY_VIOLATION, EXPIRED))
            try:
                if returning is not None:
                    await session.resume(*returning)
                elif waiting is not None:
                    await session.accept(waiting)
                else:
                    await session.begin(request.app[WEBRTC])
            finally:
                expiry.cancel()
        elif waiting is not None:
            waiting.end("user_requested", "user")
    return ws


def read_query(request: web.Request, kind: str, limits: Limits) -> CallQuery:
    """Read the query; raises HTTPBadRequest naming the parameter.

    Clients in the field write `dump_events` for `dump`, and `ping_interval` for `ping`.
    """
    query = request.query
    wanted = query.get("id") or None
    if wanted is not None and not ID.fullmatch(wanted):
        raise _bad(f"id must match {ID.pattern}")
    dump = _BOOLEANS.get(query.get("dump", query.get("dump_events", "true")).lower())
    if dump is None:
        raise _bad("dump must be true, false, 1 or 0")
    try:
        ping = float(query.get("ping") or query.get("ping_interval") or limits.heartbeat_s)
        since = int(query.get("seq") or 0)
    except ValueError:
        raise _bad("ping and seq must be numbers") from None
    resume, token, resume_s = query.get("resume", ""), "", 0.0
    if resume.isdecimal() and len(resume) <= 4:
        resume_s = min(float(resume), 600.0)
    elif resume:
        token = resume
    return CallQuery(kind, wanted, dump, min(max(ping, 1.0), 300.0), resume_s, token, since)


# --- REST for administrators ---------------------------------------------------------


async def list_calls(request: web.Request) -> web.Response:
    """Serve ``GET /call/lists``."""
    calls = await request.app[CALLS].list(principal(request))
    return web.json_response({"calls": [_shown(call) for call in calls]})


async def get_call(request: web.Request) -> web.Response:
    """Serve ``GET /call/{id}``."""
    call = await _found(request, "see a call")
    return web.json_response(_shown(await call.snapshot()))


async def kill_call(request: web.Request) -> web.Response:
    """Serve ``POST /call/kill/{id}``."""
    killed = await request.app[CALLS].kill(request.match_info["id"], principal(request))
    return web.json_response(killed, status=200 if killed else 404)


async def ice_servers(request: web.Request) -> web.Response:
    """Serve ``GET /iceservers``: TURN credentials of one call, each time under another user name.

    coturn counts its quota by the user name without the time in it. With the name of the key, all calls by
    that key would share one quota.
    """
    call = request.query.get("call", "")
    if call and not ID.fullmatch(call):
        raise web.HTTPBadRequest(text="call: an id has 1 to 128 letters, digits or any of _.@:-")
    # The account keeps two clients apart that choose the same id.
    account = f"@{request[IDENTITY].name}" if request[IDENTITY].name else ""
    user = f"{call}{account}" if call else secrets.token_hex(12)
    request.app[WARM]()
    grants = ice_grants(request.app[SETTINGS].ice, now=time.time(), user=user)
    return web.json_response(body=msgspec.json.encode(grants))


async def post_command(request: web.Request) -> web.Response:
    """Serve ``POST /command/{id}``: any command of the dialect."""
    call = await _found(request, "see a call")
    limits = request.app[SETTINGS].limits
    if (request.content_length or 0) > limits.message_bytes:
        raise web.HTTPRequestEntityTooLarge(limits.message_bytes, request.content_length or 0)
    try:
        await call.command(parse(await request.read()), principal(request))
    except CommandRejected as rejected:
        status = rejected.code if 400 <= rejected.code < 500 else 400
        body = {"error": {"code": rejected.code, "message": words(rejected.rejection)}}
        return web.json_response(body, status=status)
    return web.json_response({"success": True})


async def follow_events(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /events/{id}``: the events of one call as server-sent events."""
    call = await _found(request, "follow the events of a call")
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    limits = request.app[SETTINGS].limits
    follower = _Follower(limits.events_kept, limits.socket_buffer_bytes)
    subscription = await call.subscribe(follower)
    expiry = Expiry(request[IDENTITY], lambda: follower.close(POLICY_VIOLATION, EXPIRED))
    try:
        while (text := await follower.next(request.app[SETTINGS].limits.heartbeat_s)) is not None:
            await response.write(text.encode())
    except ConnectionError:
        pass  # the client has gone
    finally:
        expiry.cancel()
        subscription.close()
    return response


class _Follower:
    """A subscriber that reads at its own pace, within bounds."""

    def __init__(self, bound: int, most_bytes: int) -> None:
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(bound + 1)
        self._bound = bound
        self._bytes_left = most_bytes

    def event(self, event: Event, seq: int) -> None:
        """Queue an event; end the stream of a reader that is too slow."""
        text = f"id: {seq}\ndata: {render(event, seq)}\n\n"
        if self._queue.qsize() < self._bound and len(text) <= self._bytes_left:
            self._bytes_left -= len(text)
            self._queue.put_nowait(text)
        else:
            self.close(1013, "")

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """End the stream behind what waits."""
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def next(self, patience_s: float) -> str | None:
        """Return the next piece of the stream: an event, or a comment that keeps the connection alive."""
        try:
            text = await asyncio.wait_for(self._queue.get(), patience_s)
        except TimeoutError:
            return ": still here\n\n"
        self._bytes_left += len(text or "")
        return text


async def _found(request: web.Request, act: str) -> CallHandle:
    """Return the call that a request names, where its sender may do this to it; raises HTTPNotFound."""
    call = await request.app[CALLS].find(request.match_info["id"], principal(request), act)
    if call is None:
        raise web.HTTPNotFound(text="no call with this id")
    return call


def _shown(view: CallSnapshot) -> dict[str, object]:
    return {
        "id": view.id,
        "call_type": view.kind,
        "created_at": rfc3339(view.created_ms),
        "option": view.option,
        "state": view.state.value,
        "caller": view.caller,
        "callee": view.callee,
        "duration": view.duration_ms,
        "direction": view.source.direction,
        "trunk": view.source.trunk,
        "user": view.source.user,
        "recording": view.recording,
    }


def _bad(text: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=text)
