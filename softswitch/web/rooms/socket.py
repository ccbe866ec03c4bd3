"""The WebSocket ``/ws``: one client, which stands for participants in rooms."""

import asyncio
import time
from functools import partial
from typing import assert_never

from aiohttp import WSMessage, WSMsgType, web

from softswitch.call.authority import Principal
from softswitch.dialects.rooms import messages as ms
from softswitch.dialects.rooms.wording import refusal_message
from softswitch.room import events as ev
from softswitch.room.rejection import RoomReason, RoomRefused
from softswitch.switch.rooms.directory import RoomDirectory, SeatHandle
from softswitch.web.auth import ANONYMOUS, PROTOCOL, Authenticator, Identity, presented
from softswitch.web.call.rate import Bucket
from softswitch.web.call.sockets import CallSocket
from softswitch.web.expiry import EXPIRED, Expiry
from softswitch.web.forwarding import NODE
from softswitch.web.keys import CLUSTER, GATE, RESOURCES, ROOMS, SETTINGS, WARM
from softswitch.web.rooms.elsewhere import RoomsElsewhere
from softswitch.web.server_socket import ServerSocket

SEATS = 16
"""Participants that one socket may stand for."""
TOLERANCE_S = 20
"""Seconds' worth of messages beyond the rate that are refused before the socket is closed."""
_GONE = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


async def rooms_socket(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /ws``."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise web.HTTPBadRequest(text="this is a WebSocket: connect with Upgrade: websocket")
    authenticator, limits = request.app[GATE], request.app[SETTINGS].limits
    identity = ANONYMOUS if authenticator.is_open else None
    if identity is None and presented(request):
        identity = authenticator.identify(request)
    request.app[WARM]()
    ws = ServerSocket(most=limits.message_bytes, heartbeat_s=limits.heartbeat_s, protocols=(PROTOCOL,))
    metrics = request.app[RESOURCES].metrics
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
            client = RoomsClient(ws, socket, request.app[ROOMS], authenticator, identity, bucket)
            cluster = request.app.get(CLUSTER)
            if cluster is not None and NODE not in request:
                client.elsewhere = RoomsElsewhere(cluster, request, socket, limits.message_bytes)
            await client.serve()
    return ws


class RoomsClient:
    """One client of ``/ws``: carries its messages to rooms and sends it their events (a ``RoomSocket``)."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        socket: CallSocket,
        rooms: RoomDirectory,
        authenticator: Authenticator,
        identity: Identity | None,
        bucket: Bucket,
    ) -> None:
        """Prepare; ``identity`` is the client where the handshake has proved it, else None."""
        self._ws, self._socket = ws, socket
        self._rooms, self._authenticator = rooms, authenticator
        self._identity: Identity | None = None
        self._bucket = bucket
        self._excess = 0
        self._seats: dict[str, SeatHandle] = {}
        """Seats by the ids of the participants that this socket stands for."""
        self._patience: asyncio.TimerHandle | None = None
        self._expiry: Expiry | None = None
        self.elsewhere: RoomsElsewhere | None = None
        """Rooms of other nodes; None where this process is alone."""
        if identity is not None:
            self._admit(identity)

    async def serve(self) -> None:
        """Serve until the socket closes; its participants may come back within `[rooms] grace_s`."""
        loop = asyncio.get_running_loop()
        if self._identity is None:
            seconds = self._rooms.settings.auth_timeout_s
            self._patience = loop.call_later(seconds, self._refuse, "no auth message came in time")
        try:
            while not self._ws.closed:
                message = await self._ws.receive()
                if message.type is WSMsgType.TEXT:
                    far = self.elsewhere
                    if far is None or not await far.takes(message.data, is_known=self._identity is not None):
                        self._text(message)
                elif message.type is WSMsgType.BINARY:
                    self._error(RoomReason.INVALID, "messages are JSON texts")
                elif message.type in _GONE:
                    break
        finally:
            for timer in (self._patience, self._expiry):
                if timer is not None:
                    timer.cancel()
            seats, self._seats = self._seats, {}
            if self.elsewhere is not None:
                await self.elsewhere.close()
            for seat in seats.values():
                seat.drop()
        await self._socket.closed()

    # --- a RoomSocket -------------------------------------------------------------------

    def room_event(self, event: ev.RoomEvent) -> None:
        """Send the client an event."""
        self._socket.text(ms.render(event))

    def unbound(self, participant: str) -> None:
        """Note that this socket does not stand for a participant any more."""
        self._seats.pop(participant, None)

    def replaced(self, participant: str) -> None:
        """Tell the client that another socket has its seat; close where it has no other one."""
        self._seats.pop(participant, None)
        self.room_event(ev.ParticipantLeft(participant=participant, reason="replaced"))
        if not self._seats:
            self._socket.close(1008, "another socket of this client took its seat")

    # --- messages of the client -----------------------------------------------------------

    def _text(self, message: WSMessage) -> None:
        if not self._bucket.take(time.monotonic()):
            self._excess += 1
            self._error(RoomReason.INVALID, "too many messages in a second")
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
            else:
                self._act(said)
        except RoomRefused as refused:
            if self._identity is None:
                self._refuse(refusal_message(refused))
            else:
                self._error(refused.reason, refusal_message(refused))

    def _prove(self, token: str) -> None:
        identity = self._authenticator.recognize(token)
        if identity is None or not identity.may_use("rooms"):
            self._refuse("Authentication failed")
        else:
            self._admit(identity)

    def _admit(self, identity: Identity) -> None:
        if not identity.may_use("rooms"):
            return
        before = self._identity
        if self._seats and before is not None and identity.principal.seat != before.principal.seat:
            self._refuse("this socket already stands for participants of another client")
            return
        self._identity = identity
        for timer in (self._patience, self._expiry):
            if timer is not None:
                timer.cancel()
        self._expiry = Expiry(identity, partial(self._refuse, EXPIRED))

    def _join(self, said: ms.Join) -> None:
        if len(self._seats) >= SEATS:
            raise RoomRefused(RoomReason.INVALID, f"one socket may be in {SEATS} rooms")
        by = self._identity.principal if self._identity else Principal()
        one, seat = self._rooms.join(said.room, said.agent, said.metadata, by, self)
        if seat is not None:
            self._seats[one.id] = seat

    def _act(self, said: ms.ParticipantMessage) -> None:
        seat = self._seats.get(said.participant)
        if seat is None or seat.room != said.room:
            raise RoomRefused(RoomReason.NOT_IN_ROOM)
        match said:
            case ms.Leave():
                seat.leave()
            case ms.Offer():
                seat.offer(said.sdp)
            case ms.Answer():
                seat.answer(said.sdp)
            case ms.IceCandidate():
                seat.candidate(said.candidate)
            case ms.Mute():
                seat.mute(said.muted)
            case ms.State():
                seat.tell_state(said.state)
            case ms.Figures():
                seat.tell_stats(said.stats)
            case _:
                assert_never(said)

    # --- inside -------------------------------------------------------------------------

    def _error(self, reason: RoomReason, text: str) -> None:
        self._socket.text(ms.render(ev.RoomError(reason=reason, text=text)))

    def _refuse(self, reason: str) -> None:
        """Send the error INVALID_TOKEN and close: the client has no valid credentials."""
        self._identity = None
        self._error(RoomReason.INVALID_TOKEN, reason)
        self._socket.close(1008, reason)
