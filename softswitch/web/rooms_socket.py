"""``/ws``: one client's WebSocket, which speaks for people in rooms."""

import asyncio
import time

from aiohttp import WSMessage, WSMsgType, web

from softswitch.call import room_events as ev
from softswitch.call.room_parts import RoomRefused
from softswitch.dialects.rooms import messages as ms
from softswitch.switch.rooms import Rooms
from softswitch.switch.running_room import RunningRoom
from softswitch.web.auth import ANYBODY, PROTOCOL, Gate, Identity, presented
from softswitch.web.keys import GATE, ROOMS, SETTINGS, SWITCH
from softswitch.web.rate import Bucket
from softswitch.web.sockets import CallSocket

SEATS = 16
"""People that one socket may speak for."""
TOLERANCE_S = 20
"""Seconds' worth of messages beyond the rate that are refused before the socket is closed."""
_GONE = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


async def rooms_socket(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /ws``."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise web.HTTPBadRequest(text="this is a WebSocket: connect with Upgrade: websocket")
    gate, limits = request.app[GATE], request.app[SETTINGS].limits
    identity = ANYBODY if gate.is_open else None
    if identity is None and presented(request):
        identity = gate.identify(request)
    ws = web.WebSocketResponse(
        heartbeat=limits.heartbeat_s,
        max_msg_size=limits.message_bytes,
        compress=False,
        protocols=(PROTOCOL,),
        timeout=2.0,
    )
    metrics = request.app[SWITCH].resources.metrics
    with metrics.sockets_active.track_inprogress():
        await ws.prepare(request)
        transport = request.transport
        if transport is not None:
            socket = CallSocket(
                ws,
                transport,
                limits.socket_buffer_bytes,
                lambda event, seq: "",
                metrics.sockets_closed_slow.inc,
                lambda: None,
            )
            bucket = Bucket(limits.commands_per_second, time.monotonic())
            client = RoomsClient(ws, socket, request.app[ROOMS], gate, identity, bucket)
            await client.serve()
    return ws


class RoomsClient:
    """Reads one socket and carries what it says to rooms (a ``RoomSocket``)."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        socket: CallSocket,
        rooms: Rooms,
        gate: Gate,
        identity: Identity | None,
        bucket: Bucket,
    ) -> None:
        """Take an upgraded connection; ``identity``: who it is, where that is known already."""
        self._ws, self._socket = ws, socket
        self._rooms, self._gate = rooms, gate
        self._identity: Identity | None = None
        self._bucket = bucket
        self._excess = 0
        self._seats: dict[str, RunningRoom] = {}
        """Rooms by the participants that this socket speaks for."""
        self._patience: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        if identity is not None:
            self._admit(identity)

    async def serve(self) -> None:
        """Serve until the socket closes; then its people may come back for a while."""
        loop = asyncio.get_running_loop()
        if self._identity is None:
            seconds = self._rooms.settings.auth_timeout_s
            self._patience = loop.call_later(seconds, self._refuse, "no auth message came in time")
        try:
            while not self._ws.closed:
                message = await self._ws.receive()
                if message.type is WSMsgType.TEXT:
                    self._text(message)
                elif message.type is WSMsgType.BINARY:
                    self._error("INVALID_REQUEST", "messages are JSON texts")
                elif message.type in _GONE:
                    break
        finally:
            for timer in (self._patience, self._expiry):
                if timer is not None:
                    timer.cancel()
            seats, self._seats = self._seats, {}
            for participant, running in seats.items():
                running.sockets.pop(participant, None)
                self._drop(running, participant)
        await self._socket.closed()

    # --- a RoomSocket -------------------------------------------------------------------

    def room_event(self, event: ev.RoomEvent) -> None:
        """Tell the client something."""
        self._socket.text(ms.render(event))

    def unbound(self, participant: str) -> None:
        """Note that this socket does not speak for somebody any more."""
        self._seats.pop(participant, None)

    # --- what the client says -----------------------------------------------------------

    def _text(self, message: WSMessage) -> None:
        if not self._bucket.take(time.monotonic()):
            self._excess += 1
            self._error("INVALID_REQUEST", "too many messages in a second")
            if self._excess > TOLERANCE_S * 50:
                self._socket.close(1008, "too many messages")
            return
        try:
            said = ms.parse(message.data)
            if isinstance(said, ms.Auth):
                self._prove(said.token)
            elif self._identity is None:
                self._refuse("the first message must be auth")
            elif isinstance(said, ms.Join):
                self._join(said)
            elif isinstance(said, ms.Inside):
                self._inside(said)
        except RoomRefused as refused:
            if self._identity is None:
                self._refuse(str(refused))
            else:
                self._error(refused.room_code, str(refused))

    def _prove(self, token: str) -> None:
        identity = self._gate.recognize(token)
        if identity is None or "rooms" not in identity.scopes:
            self._refuse("Authentication failed")
        else:
            self._admit(identity)

    def _admit(self, identity: Identity) -> None:
        if "rooms" not in identity.scopes:
            return
        if self._seats and self._identity is not None and identity.name != self._identity.name:
            self._refuse("somebody else speaks on this socket already")
            return
        self._identity = identity
        for timer in (self._patience, self._expiry):
            if timer is not None:
                timer.cancel()
        if identity.expires is not None:
            left = max(0.0, identity.expires - time.time())
            self._expiry = asyncio.get_running_loop().call_later(left, self._refuse, "the token has expired")

    def _join(self, said: ms.Join) -> None:
        if len(self._seats) >= SEATS:
            raise RoomRefused("INVALID_REQUEST", f"one socket may be in {SEATS} rooms")
        owner = self._identity.name if self._identity else ""
        running, one = self._rooms.join(said.room, said.agent, said.metadata, owner, self)
        if one.id in running.room.people:
            self._seats[one.id] = running

    def _inside(self, said: ms.Inside) -> None:
        running = self._seats.get(said.participant)
        if running is None or running.room.id != said.room:
            raise RoomRefused("NOT_IN_ROOM", "Not currently in the room")
        who = said.participant
        match said:
            case ms.Leave():
                running.act(lambda room, now: room.leave(who, now))
            case ms.Offer():
                running.act(lambda room, now: room.offer(who, said.sdp, now))
            case ms.Answer():
                running.act(lambda room, now: room.answer(who, said.sdp, now))
            case ms.IceCandidate():
                running.act(lambda room, now: room.candidate(who, said.candidate, now))
            case ms.Mute():
                running.act(lambda room, now: room.mute(who, said.muted, now))
            case ms.State():
                running.act(lambda room, now: room.tell_state(who, said.state, now))
            case ms.Figures():
                running.act(lambda room, now: room.tell_stats(who, said.stats, now))
            case _:
                raise TypeError(f"nobody takes {type(said).__name__}")

    # --- inside -------------------------------------------------------------------------

    def _drop(self, running: RunningRoom, participant: str) -> None:
        running.act(lambda room, now: room.drop(participant, now))

    def _error(self, code: str, message: str) -> None:
        self._socket.text(ms.render(ev.RoomError(code=code, message=message)))

    def _refuse(self, reason: str) -> None:
        """Tell that the client has not proved who it is, and close."""
        self._identity = None
        self._error("INVALID_TOKEN", reason)
        self._socket.close(1008, reason)
