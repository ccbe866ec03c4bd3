"""One client on one WebSocket, from its first command to the close (wire-call §2)."""

import asyncio
import time
from collections.abc import MutableMapping
from dataclasses import dataclass

from aiohttp import WSMessage, WSMsgType, web

from softswitch.call import commands, events
from softswitch.call.commands import Command, CommandRejected
from softswitch.call.needs import EndpointFactory
from softswitch.call.state import State
from softswitch.dialects.rustpbx import parse, render, render_audio
from softswitch.endpoints.frame_reader import take_binary
from softswitch.errors import SoftswitchError
from softswitch.log import call_id as log_call_id
from softswitch.switch.conversation import Conversation
from softswitch.switch.switch import Origin, Switch
from softswitch.web.dump import Dump
from softswitch.web.line import Line
from softswitch.web.rate import Bucket
from softswitch.web.sockets import CallSocket

TOLERANCE_S = 20
"""A client that is this many seconds of commands above what it may send is closed."""

Lines = MutableMapping[str, Line]
"""The lines of live calls, by session id."""
FRAME_S = 0.02
"""Length of one audio message."""
_GONE = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the URL of a call asks for."""

    kind: str
    call_id: str | None
    dump: bool
    heartbeat_s: float
    resume_s: float = 0.0
    token: str = ""
    since: int = 0


@dataclass(frozen=True, slots=True)
class Connection:
    """What lies under an upgraded WebSocket."""

    transport: asyncio.WriteTransport
    protocol: object
    """aiohttp's own, into which the quick way of audio is put."""


class Session:
    """Reads one socket and carries its commands to its call."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        connection: Connection,
        switch: Switch,
        lines: Lines,
        wish: Wish,
        origin: Origin,
    ) -> None:
        """Take an upgraded connection."""
        self._ws = ws
        self._connection = connection
        self._switch = switch
        self._lines = lines
        self._wish = wish
        self._origin = origin
        self._limits = switch.resources.settings.limits
        self._metrics = switch.resources.metrics
        self._bucket = Bucket(self._limits.commands_per_second, time.monotonic())
        self._excess = 0
        self._dump: Dump | None = None
        dropped = self._metrics.audio_dropped_seconds.labels("socket", "slow_reader")
        self.socket = CallSocket(
            ws,
            connection.transport,
            self._limits.socket_buffer_bytes,
            render,
            self._metrics.sockets_closed_slow.inc,
            lambda: dropped.inc(FRAME_S),
        )

    async def begin(self, webrtc: EndpointFactory) -> None:
        """Wait for the first command, open the call with it, and serve until the socket closes."""
        opened = await self._first_command()
        if opened is not None:
            command, text = opened
            resources = self._switch.resources
            line = Line(resources, self._wish.resume_s)
            party = line.party if self._wish.kind == "websocket" else webrtc
            try:
                conversation = await self._switch.open(
                    self._wish.call_id,
                    self._wish.kind,
                    party,
                    self._origin,
                    resumable=self._wish.resume_s > 0,
                )
            except SoftswitchError as error:
                self._refuse(str(error), getattr(error, "code", 503))
            else:
                line.conversation = conversation
                line.attach(self.socket)
                self._lines[conversation.id] = line
                self._prepare(conversation, command, text)
                await self._serve(line, conversation)
                if conversation.call.state is State.OVER:
                    self._lines.pop(conversation.id, None)
        await self.socket.closed()

    async def resume(self, conversation: Conversation) -> None:
        """Take up a call whose socket was lost, and serve until this one closes."""
        line = self._lines[conversation.id]
        line.attach(self.socket)
        option = conversation.call.option
        self._shape(option.subscribe, option.binary_events)
        conversation.subscribe(self.socket, since=self._wish.since)
        self.socket.text(
            render(
                events.Resumed(
                    timestamp=conversation.call.epoch_ms(time.monotonic()),
                    track_id=conversation.id,
                    resume=conversation.call.resume_token or "",
                ),
                conversation.seq,
            )
        )
        await self._serve(line, conversation)
        if conversation.call.state is State.OVER:
            self._lines.pop(conversation.id, None)
        await self.socket.closed()

    # --- beginning ------------------------------------------------------------------

    async def _first_command(self) -> tuple[commands.Invite | commands.Accept, str] | None:
        try:
            first = await asyncio.wait_for(self._ws.receive(), self._limits.handshake_timeout_s)
        except TimeoutError:
            self._refuse("no command came in time; the first one must be invite or accept", 408)
            return None
        if first.type in _GONE:
            return None
        if first.type is not WSMsgType.TEXT:
            self._refuse("the first message must be a command: invite or accept", 400)
            return None
        try:
            command = self._parse(first.data)
        except CommandRejected as rejected:
            self._refuse(rejected.error, rejected.code)
            return None
        if not isinstance(command, commands.Invite | commands.Accept):
            self._refuse("the first command must be invite or accept", 400)
            return None
        return command, first.data

    def _prepare(
        self, conversation: Conversation, command: commands.Invite | commands.Accept, text: str
    ) -> None:
        log_call_id.set(conversation.id)
        self._shape(command.option.subscribe, command.option.binary_events)
        if self._wish.dump:
            self._dump = Dump(self._switch.resources.store, conversation.id)
            conversation.subscribe(self._dump)
            self._dump.command(text)
        conversation.subscribe(self.socket)
        self._carry_out(conversation, command)

    def _shape(self, indexed: bool, binary_events: bool) -> None:
        self.socket.indexed = indexed
        if binary_events:
            track = self._wish.call_id or ""
            self.socket.wrap = lambda data: render_audio(track, int(time.time() * 1000), data)

    def _refuse(self, error: str, code: int) -> None:
        """Answer a beginning that is none, and close."""
        event = events.Error(
            timestamp=int(time.time() * 1000),
            track_id=self._wish.call_id or "",
            sender="handle_call",
            error=error,
            code=code,
        )
        self.socket.text(render(event, 1))
        self.socket.close(1013 if code == 503 else 1008, error)

    # --- serving --------------------------------------------------------------------

    async def _serve(self, line: Line, conversation: Conversation) -> None:
        if self._wish.kind == "websocket":
            take_binary(self._connection.protocol, line.feed)
        try:
            while not self._ws.closed:
                message = await self._ws.receive()
                if message.type is WSMsgType.BINARY:
                    line.feed(message.data)
                elif message.type is WSMsgType.TEXT:
                    self._text(conversation, message)
                elif message.type in _GONE:
                    break
        finally:
            line.lost(self.socket)

    def _text(self, conversation: Conversation, message: WSMessage) -> None:
        if len(message.data) > self._limits.message_bytes:
            self.socket.close(1009, f"a command may have {self._limits.message_bytes} bytes")
            return
        try:
            self._count_command()
            if self._dump is not None:
                self._dump.command(message.data)
            command = self._parse(message.data)
        except CommandRejected as rejected:
            self._reject(conversation, rejected)
        else:
            self._carry_out(conversation, command)

    def _count_command(self) -> None:
        """Refuse a command beyond the rate; close on a client that floods (refusing is work, too)."""
        bound = self._limits.commands_per_second
        if self._bucket.take(time.monotonic()):
            self._excess = max(0, self._excess - 1)
            return
        self._excess += 1
        if self._excess > TOLERANCE_S * bound:
            self.socket.close(1008, "too many commands")
        raise CommandRejected(f"more than {bound} commands in a second", 429)

    def _carry_out(self, conversation: Conversation, command: Command) -> None:
        self._metrics.commands.labels(type(command).__name__).inc()
        try:
            conversation.command(command)
        except CommandRejected as rejected:
            rejected.request_id = command.request_id
            self._reject(conversation, rejected)

    def _reject(self, conversation: Conversation, rejected: CommandRejected) -> None:
        """Tell that a command was not carried out; the call lives."""
        self._metrics.commands_refused.labels(str(rejected.code)).inc()
        conversation.publish(
            events.Error(
                timestamp=conversation.call.epoch_ms(time.monotonic()),
                track_id=conversation.id,
                sender=rejected.sender,
                error=rejected.error,
                code=rejected.code,
                request_id=rejected.request_id,
            )
        )

    def _parse(self, text: str) -> Command:
        if len(text) > self._limits.message_bytes:
            raise CommandRejected(f"a command may have {self._limits.message_bytes} bytes", 413)
        return parse(text)
