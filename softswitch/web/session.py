"""One client on one WebSocket, from its first command to the close (wire-call §2)."""

import asyncio
import time
from collections.abc import MutableMapping
from dataclasses import dataclass

from aiohttp import WSMessage, WSMsgType, web

from softswitch.call import events
from softswitch.call.commands import (
    Accept,
    Command,
    CommandRejected,
    Hangup,
    Invite,
    Reject,
    Ring,
)
from softswitch.call.needs import EndpointFactory
from softswitch.call.state import State
from softswitch.dialects.rustpbx import parse, render, render_audio
from softswitch.endpoints.frame_reader import FrameReader
from softswitch.errors import SoftswitchError
from softswitch.log import call_id as log_call_id
from softswitch.switch.conversation import Conversation
from softswitch.switch.switch import Origin, Switch
from softswitch.web.dump import Dump
from softswitch.web.line import Line
from softswitch.web.rate import Bucket
from softswitch.web.sockets import CallSocket

_TO_NOBODY = (Invite, Accept)
_TO_A_CALLER = (Invite, Accept, Ring, Reject, Hangup)
"""What a call may begin with: one that the client makes, and one that has come in."""
First = Invite | Accept | Ring | Reject | Hangup
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
    frames: FrameReader | None
    """The quick way of audio; None where aiohttp's own is the only one."""


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
        opened = await self._first_command(_TO_NOBODY)
        if opened is not None:
            command, text = opened
            resources = self._switch.resources
            line = Line(resources, self._wish.resume_s)
            party = self._party(line, webrtc)
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
                self._take(line, conversation)
                self._prepare(conversation, text)
                conversation.subscribe(self.socket)
                self._carry_out(conversation, command)
                await self._converse(line, conversation)
        await self.socket.closed()

    async def accept(self, conversation: Conversation) -> None:
        """Take up a call that has come in and waits, and serve until the socket closes.

        The event ``incoming`` and what happened since are told at once.
        """
        line = Line(self._switch.resources, self._wish.resume_s)
        self._take(line, conversation)
        conversation.subscribe(self.socket, since=0)
        opened = await self._first_command(_TO_A_CALLER)
        if opened is not None:
            command, text = opened
            self._prepare(conversation, text, since=0)
            self._carry_out(conversation, command)
            await self._converse(line, conversation)
        else:
            line.lost(self.socket)
            self._lines.pop(conversation.id, None)
        await self.socket.closed()

    def _party(self, line: Line, webrtc: EndpointFactory) -> EndpointFactory | None:
        """Return what makes the client's own leg; None on ``/call/sip``, where the callee is the party."""
        match self._wish.kind:
            case "websocket":
                return line.party
            case "webrtc":
                return webrtc
            case _:
                return None

    def _take(self, line: Line, conversation: Conversation) -> None:
        line.conversation = conversation
        line.attach(self.socket)
        self._lines[conversation.id] = line

    async def _converse(self, line: Line, conversation: Conversation) -> None:
        await self._serve(line, conversation)
        if conversation.call.state is State.OVER:
            self._lines.pop(conversation.id, None)

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
        await self._converse(line, conversation)
        await self.socket.closed()

    # --- beginning ------------------------------------------------------------------

    async def _first_command(self, kinds: tuple[type[First], ...]) -> tuple[First, str] | None:
        """Wait for the command that a call begins with; refuse every other and return None."""
        wanted = " or ".join(kind.__name__.lower() for kind in kinds)
        try:
            first = await asyncio.wait_for(self._ws.receive(), self._patience_s(kinds))
        except TimeoutError:
            self._refuse(f"no command came in time; the first one must be {wanted}", 408)
            return None
        if first.type in _GONE:
            return None
        if first.type is not WSMsgType.TEXT:
            self._refuse(f"the first message must be a command: {wanted}", 400)
            return None
        try:
            command = self._parse(first.data)
        except CommandRejected as rejected:
            self._refuse(rejected.error, rejected.code)
            return None
        if not isinstance(command, kinds):
            self._refuse(f"the first command must be {wanted}", 400)
            return None
        return command, first.data

    def _patience_s(self, kinds: tuple[type[First], ...]) -> float:
        """Return how long the first command may take; an incoming call may be shown to a person before."""
        if Ring in kinds:
            return self._switch.resources.settings.sip.accept_timeout_s + 1.0
        return self._limits.handshake_timeout_s

    def _prepare(self, conversation: Conversation, text: str, since: int | None = None) -> None:
        log_call_id.set(conversation.id)
        if self._wish.dump:
            self._dump = Dump(self._switch.resources.store, conversation.id)
            conversation.subscribe(self._dump, since=since)
            self._dump.command(text)

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
        if self._wish.kind == "websocket" and self._connection.frames is not None:
            self._connection.frames.take(line.feed)
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
        if isinstance(command, Invite | Accept) and conversation.call.state in (State.NEW, State.PENDING):
            self._shape(command.option.subscribe, command.option.binary_events)
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
