"""One client of `/call` on one WebSocket, from its first command to the close."""

import asyncio
import itertools
import time
from dataclasses import dataclass

from aiohttp import WSMessage, WSMsgType, web

from softswitch.call.interfaces import EndpointFactory
from softswitch.call.state import State
from softswitch.call.vocabulary import events
from softswitch.call.vocabulary.commands import Accept, Command, Hangup, Invite, Reject, Ring
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.values import party_of
from softswitch.dialects.rustpbx import parse, render, render_audio
from softswitch.dialects.wording import words
from softswitch.errors import SoftswitchError
from softswitch.legs.websocket.frame_reader import FrameReader
from softswitch.log import call_id as log_call_id
from softswitch.switch.directory import CallDirectory, CallHandle
from softswitch.switch.origin import Origin
from softswitch.switch.resources import Resources
from softswitch.web.call.dump import Dump
from softswitch.web.call.line import FRAME_S, Line, Lines
from softswitch.web.call.liveness import pong
from softswitch.web.call.rate import Bucket
from softswitch.web.call.sockets import CallSocket

_OUTGOING = (Invite, Accept)
_INCOMING = (Invite, Accept, Ring, Reject, Hangup)
"""First commands of a call that the client opens, and of an incoming call."""
First = Invite | Accept | Ring | Reject | Hangup
TOLERANCE_S = 20
"""Commands beyond the rate that are refused before the socket is closed, in seconds of the rate."""

_GONE = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


@dataclass(frozen=True, slots=True)
class CallQuery:
    """The query of the URL of a call."""

    kind: str
    call_id: str | None
    dump: bool
    heartbeat_s: float
    resume_s: float = 0.0
    token: str = ""
    since: int = 0


@dataclass(frozen=True, slots=True)
class Connection:
    """The TCP connection below an upgraded WebSocket."""

    transport: asyncio.WriteTransport
    frames: FrameReader | None
    """Takes audio frames off the connection; None where aiohttp has to."""
    protocol: asyncio.Protocol | None = None
    """Reads the connection."""


class Session:
    """A client: reads its socket and carries its commands to its call."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        connection: Connection,
        calls: CallDirectory,
        resources: Resources,
        lines: Lines,
        *,
        query: CallQuery,
        origin: Origin,
    ) -> None:
        """Prepare.

        Args:
            ws: The upgraded connection.
            connection: The TCP connection below it.
            calls: Opens calls and finds them.
            resources: Settings, metrics, store.
            lines: The lines of live calls, for clients that come back.
            query: The query of the URL.
            origin: The client.
        """
        self._ws = ws
        self._connection = connection
        self._calls = calls
        self._resources = resources
        self._lines = lines
        self._query = query
        self._origin = origin
        self._limits = resources.settings.limits
        self._metrics = resources.metrics
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
        opened = await self._first_command(_OUTGOING)
        if opened is not None:
            command, text = opened
            query = self._query
            line = Line(self._resources, query.resume_s, carries_audio=query.kind == "websocket")
            party = self._party(line, webrtc)
            try:
                call, _ = await self._calls.open(
                    query.kind, self._origin, party, call_id=query.call_id, resumable=query.resume_s > 0
                )
            except SoftswitchError as error:
                self._refuse(str(error), getattr(error, "code", 503))
            else:
                self._take(line, call)
                await self._prepare(call, text)
                await line.subscribe()
                await self._carry_out(call, command)
                await self._converse(line, call)
        await self.socket.closed()

    async def accept(self, call: CallHandle) -> None:
        """Take up a call that has come in and waits, and serve until the socket closes.

        The event ``incoming`` and the events since then are sent at once.
        """
        line = Line(self._resources, self._query.resume_s)
        self._take(line, call)
        await line.subscribe(since=0)
        opened = await self._first_command(_INCOMING)
        if opened is not None:
            command, text = opened
            await self._prepare(call, text, since=0)
            await self._carry_out(call, command)
            await self._converse(line, call)
        else:
            line.lost(self.socket)
            self._lines.pop(call.id, None)
        await self.socket.closed()

    def _party(self, line: Line, webrtc: EndpointFactory) -> EndpointFactory | None:
        """Return what makes the client's own leg; None on ``/call/sip``, where the callee is the party."""
        match self._query.kind:
            case "websocket":
                return line.party
            case "webrtc":
                return webrtc
            case _:
                return None

    def _take(self, line: Line, call: CallHandle) -> None:
        line.call = call
        line.attach(self.socket)
        self._lines[call.id] = line

    async def _converse(self, line: Line, call: CallHandle) -> None:
        await self._serve(line, call)
        if (await call.snapshot()).state is State.OVER:
            self._lines.pop(call.id, None)

    async def resume(self, call: CallHandle, token: str) -> None:
        """Take up a call whose socket was lost, and serve until this one closes.

        Args:
            call: The call.
            token: The token to come back with the next time.
        """
        line = self._lines[call.id]
        line.attach(self.socket)
        before = await call.snapshot()
        self._shape(call.id, before.shares_audio, before.binary_events)
        await line.subscribe(since=self._query.since)
        unheard = await line.back()
        resumed = events.Resumed(
            timestamp=before.now_ms / 1000,
            subject=party_of(call.id),
            resume=token,
            unheard=unheard or None,
        )
        self.socket.text(render(resumed, before.seq))
        await self._converse(line, call)
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
            self._refuse(words(rejected.rejection), rejected.code)
            return None
        if not isinstance(command, kinds):
            self._refuse(f"the first command must be {wanted}", 400)
            return None
        return command, first.data

    def _patience_s(self, kinds: tuple[type[First], ...]) -> float:
        """Return the longest wait for the first command; an incoming call may ring at a person first."""
        if Ring in kinds:
            return self._resources.settings.sip.accept_timeout_s + 1.0
        return self._limits.handshake_timeout_s

    async def _prepare(self, call: CallHandle, text: str, since: int | None = None) -> None:
        log_call_id.set(call.id)
        if self._query.dump:
            self._dump = Dump(self._resources.store, call.id)
            await call.subscribe(self._dump, since=since)
            self._dump.command(text)

    def _shape(self, track: str, indexed: bool, binary_events: bool) -> None:
        """Set the form in which audio goes out; ``track`` is the id of the call."""
        self.socket.unshare()
        self.socket.indexed = indexed
        if binary_events:
            numbers = itertools.count(1)
            self.socket.wrap = lambda data: render_audio(track, int(time.time() * 1000), data, next(numbers))

    def _refuse(self, error: str, code: int) -> None:
        """Send an error in place of the first event, and close."""
        event = events.Error(
            timestamp=time.time(),
            subject=party_of(self._query.call_id or ""),
            sender="handle_call",
            error=error,
            code=code,
        )
        self.socket.text(render(event, 1))
        self.socket.close(1013 if code == 503 else 1008, error)

    # --- serving --------------------------------------------------------------------

    async def _serve(self, line: Line, call: CallHandle) -> None:
        if self._query.kind == "websocket" and self._connection.frames is not None:
            self._connection.frames.take(line.feed)
            if self._connection.protocol is not None:
                self.socket.reads(self._connection.protocol, self._connection.frames)
                line.share()
        try:
            while not self._ws.closed:
                message = await self._ws.receive()
                if message.type is WSMsgType.BINARY:
                    line.feed(message.data)
                elif message.type is WSMsgType.TEXT:
                    await self._text(call, message)
                elif message.type in _GONE:
                    break
        finally:
            self.socket.unshare()
            line.lost(self.socket)

    async def _text(self, call: CallHandle, message: WSMessage) -> None:
        if len(message.data) > self._limits.message_bytes:
            self.socket.close(1009, f"command is larger than {self._limits.message_bytes} bytes")
            return
        try:
            self._count_command()
            if answer := pong(message.data):
                self.socket.text(answer)
                return
            if self._dump is not None:
                self._dump.command(message.data)
            command = self._parse(message.data)
        except CommandRejected as rejected:
            await self._reject(call, rejected)
        else:
            await self._carry_out(call, command)

    def _count_command(self) -> None:
        """Refuse a command beyond the rate; close the socket of a client that floods."""
        bound = self._limits.commands_per_second
        if self._bucket.take(time.monotonic()):
            self._excess = max(0, self._excess - 1)
            return
        self._excess += 1
        if self._excess > TOLERANCE_S * bound:
            self.socket.close(1008, "too many commands")
        raise CommandRejected(f"more than {bound} commands in a second", 429)

    async def _carry_out(self, call: CallHandle, command: Command) -> None:
        self._metrics.commands.labels(type(command).__name__).inc()
        if isinstance(command, Invite | Accept):
            state = (await call.snapshot()).state
            if state in (State.NEW, State.PENDING):
                self._shape(call.id, command.option.subscribe, command.option.binary_events)
        try:
            await call.command(command, self._origin.principal)
        except CommandRejected as rejected:
            rejected.request_id = command.request_id
            await self._reject(call, rejected)

    async def _reject(self, call: CallHandle, rejected: CommandRejected) -> None:
        """Publish that a command was not carried out; the call goes on."""
        self._metrics.commands_refused.labels(str(rejected.code)).inc()
        await call.reject(rejected)

    def _parse(self, text: str) -> Command:
        if len(text) > self._limits.message_bytes:
            raise CommandRejected(f"command is larger than {self._limits.message_bytes} bytes", 413)
        return parse(text)
