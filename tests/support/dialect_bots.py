"""Bots of each stream protocol on loopback: they say and read what the documents of its vendor have."""

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from aiohttp import WSMsgType, web

from softswitch.audio import g711
from tests.support.sound import Pcm

PATIENCE_S = 15.0
Message = dict[str, Any]


class Protocol:
    """What a bot of one vendor sends and expects; this one is Twilio's."""

    name = "twilio"
    rate = 8000
    law = True
    """Whether audio is µ-law."""
    marks = True
    clears = True
    subprotocols: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.stream = ""

    def code(self, pcm: Pcm) -> bytes:
        """Return PCM16 in the encoding of the protocol."""
        if self.law:
            return g711.encode(g711.ULAW_ENCODE, pcm.astype(np.float32)).tobytes()
        return pcm.astype("<i2").tobytes()

    def decode(self, data: bytes) -> Pcm:
        """Return audio of the switch as PCM16."""
        if self.law:
            return g711.decode(g711.ULAW_DECODE, np.frombuffer(data, np.uint8)).astype("<i2")
        return np.frombuffer(data, "<i2")

    def answers(self, message: Message) -> list[str | bytes]:
        """Take a text of the switch; return what the bot answers at once."""
        if message.get("event") == "start":
            self.stream = message["streamSid"]
        return []

    def begin(self) -> list[str | bytes]:
        """Return what the bot says before anything else."""
        return []

    def hears(self, data: bytes) -> None:
        """Take binary audio of the switch, before it is kept."""

    def payload(self, message: Message) -> bytes:
        """Return the audio of a text message, none where it has none."""
        return base64.b64decode(message["media"]["payload"]) if message.get("event") == "media" else b""

    def audio(self, data: bytes) -> str | bytes:
        """Return the message that carries audio."""
        return self.event("media", streamSid=self.stream, media={"payload": base64.b64encode(data).decode()})

    def mark(self, name: str) -> str:
        """Return the message that asks for a report."""
        return self.event("mark", streamSid=self.stream, mark={"name": name})

    def marked(self, message: Message) -> str:
        """Return the name of the mark that a message reports, empty for another message."""
        return message["mark"]["name"] if message.get("event") == "mark" else ""

    def clear(self) -> str:
        """Return the message that drops queued audio."""
        return self.event("clear", streamSid=self.stream)

    @staticmethod
    def event(event: str, **fields: object) -> str:
        """Return a message with an `event`."""
        return json.dumps({"event": event, **fields})


class Telnyx(Protocol):
    name = "telnyx"

    def answers(self, message: Message) -> list[str | bytes]:
        return []

    def audio(self, data: bytes) -> str:
        return self.event("media", media={"payload": base64.b64encode(data).decode()})

    def mark(self, name: str) -> str:
        return self.event("mark", mark={"name": name})

    def clear(self) -> str:
        return self.event("clear")


class Exotel(Protocol):
    name, law = "exotel", False

    def answers(self, message: Message) -> list[str | bytes]:
        if message.get("event") == "start":
            self.stream = message["stream_sid"]
        return []

    def audio(self, data: bytes) -> str:
        return self.event("media", stream_sid=self.stream, media={"payload": base64.b64encode(data).decode()})

    def mark(self, name: str) -> str:
        return self.event("mark", stream_sid=self.stream, mark={"name": name})

    def clear(self) -> str:
        return self.event("clear", stream_sid=self.stream)


class Plivo(Protocol):
    name = "plivo"

    def answers(self, message: Message) -> list[str | bytes]:
        if message.get("event") == "start":
            self.stream = message["start"]["streamId"]
        return []

    def audio(self, data: bytes) -> str:
        media = {
            "contentType": "audio/x-mulaw",
            "sampleRate": 8000,
            "payload": base64.b64encode(data).decode(),
        }
        return self.event("playAudio", media=media)

    def mark(self, name: str) -> str:
        return self.event("checkpoint", streamId=self.stream, name=name)

    def marked(self, message: Message) -> str:
        return message["name"] if message.get("event") == "playedStream" else ""

    def clear(self) -> str:
        return self.event("clearAudio", streamId=self.stream)


class Vonage(Protocol):
    name, rate, law = "vonage", 16000, False

    def answers(self, message: Message) -> list[str | bytes]:
        return []

    def audio(self, data: bytes) -> bytes:
        return data

    def mark(self, name: str) -> str:
        return json.dumps({"action": "notify", "payload": {"name": name}})

    def marked(self, message: Message) -> str:
        return message["payload"]["name"] if message.get("event") == "websocket:notify" else ""

    def clear(self) -> str:
        return json.dumps({"action": "clear"})


class Jambonz(Vonage):
    name, rate = "jambonz", 8000
    subprotocols = ("audio.jambonz.org",)

    def mark(self, name: str) -> str:
        return json.dumps({"type": "mark", "data": {"name": name}})

    def marked(self, message: Message) -> str:
        return message["data"]["name"] if message.get("type") == "mark" else ""

    def clear(self) -> str:
        return json.dumps({"type": "killAudio"})


class Raw(Vonage):
    name, marks, clears = "raw", False, False


class AudioHook(Protocol):
    name, marks = "audiohook", False

    def __init__(self) -> None:
        super().__init__()
        self._sequence = self._seen = 0

    def answers(self, message: Message) -> list[str | bytes]:
        assert message["seq"] == self._seen + 1, "the switch left out a number"
        assert message["serverseq"] <= self._sequence
        self._seen = message["seq"]
        self.stream = message["id"]
        match message["type"]:
            case "open":
                return [self.typed("opened", media=message["parameters"]["media"][:1], startPaused=False)]
            case "ping":
                return [self.typed("pong")]
            case "close":
                return [self.typed("closed")]
        return []

    def payload(self, message: Message) -> bytes:
        return b""

    def audio(self, data: bytes) -> bytes:
        return data

    def marked(self, message: Message) -> str:
        return ""

    def clear(self) -> str:
        return self.typed("event", entities=[{"type": "barge_in", "data": {}}])

    def typed(self, kind: str, **parameters: object) -> str:
        """Return a message of the service."""
        self._sequence += 1
        return json.dumps(
            {
                "version": "2",
                "id": self.stream,
                "type": kind,
                "seq": self._sequence,
                "clientseq": self._seen,
                "parameters": parameters,
            }
        )


PROTOCOLS: tuple[type[Protocol], ...] = (
    Protocol, Telnyx, Vonage, Plivo, Exotel, Jambonz, AudioHook, Raw,
)  # fmt: skip


class Talk:
    """One connection of the switch to a bot."""

    def __init__(
        self,
        protocol: Protocol,
        request: web.Request,
        socket: web.WebSocketResponse,
        answering: asyncio.Event,
    ) -> None:
        self.protocol, self.request, self.socket, self._answering = protocol, request, socket, answering
        self.messages: list[Message] = []
        self.times: list[int] = []
        """For each text message, the number of pieces of audio before it."""
        self.pieces: list[Pcm] = []
        self.over = False
        self.owes = False
        """Whether an answer is held back."""
        self._changed = asyncio.Condition()

    async def listen(self) -> None:
        """Take what the switch sends until the end."""
        for first in self.protocol.begin():
            await self._answer(first)
        async for message in self.socket:
            if message.type is WSMsgType.BINARY:
                self.protocol.hears(message.data)
                payload = message.data
            else:
                text = json.loads(message.data)
                for answer in self.protocol.answers(text):
                    await self._answer(answer)
                self.times.append(len(self.pieces))
                self.messages.append(text)
                payload = self.protocol.payload(text)
            if payload:
                self.pieces.append(self.protocol.decode(payload))
            await self._tell()
        self.over = True
        await self._tell()

    async def _answer(self, message: str | bytes) -> None:
        self.owes = not self._answering.is_set()
        await self._answering.wait()
        await self.send(message)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    @property
    def heard(self) -> Pcm:
        """All audio of the switch."""
        return np.concatenate(self.pieces) if self.pieces else np.zeros(0, "<i2")

    def marks(self) -> list[str]:
        """Return the names of the marks that were reported."""
        return [name for message in self.messages if (name := self.protocol.marked(message))]

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until messages make something true."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"{self.protocol.name}: {what}") from None

    async def send(self, message: str | bytes) -> None:
        """Send a text or a binary message."""
        if isinstance(message, str):
            await self.socket.send_str(message)
        else:
            await self.socket.send_bytes(message)

    async def speak(self, pcm: Pcm, pieces: list[int] | None = None) -> None:
        """Send audio, in messages of these numbers of bytes, the last as often as is needed."""
        data, sizes = self.protocol.code(pcm), list(pieces or [1 << 20])
        while data:
            size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
            await self.send(self.protocol.audio(data[:size]))
            data = data[size:]

    def stop_reading(self) -> None:
        """Read nothing more, until told to go on: the buffers of both sides fill."""
        assert self.request.transport is not None
        self.request.transport.pause_reading()

    def go_on_reading(self) -> None:
        """Read what has waited."""
        assert self.request.transport is not None
        self.request.transport.resume_reading()

    def cut(self) -> None:
        """Cut the connection without a word."""
        assert self.request.transport is not None
        self.request.transport.abort()


class DialectBot:
    """A server of one protocol on loopback. Use it with `async with`."""

    def __init__(self, make: Callable[[], Protocol], statuses: Sequence[int] = ()) -> None:
        """Take the protocol, and the HTTP statuses with which the first handshakes are refused."""
        self._make, self._statuses = make, list(statuses)
        self.talks: list[Talk] = []
        self.requests: list[web.Request] = []
        self.faults: list[AssertionError] = []
        """What the switch has sent against the protocol."""
        self.shaking, self.answering = asyncio.Event(), asyncio.Event()
        """Whether handshakes and messages are answered; set, unless a test clears them."""
        self.shaking.set()
        self.answering.set()
        self._grown = asyncio.Condition()

    async def __aenter__(self) -> Self:
        """Start."""
        application = web.Application()
        application.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        for talk in self.talks:
            await talk.socket.close()
        await self._runner.cleanup()
        assert kind is not None or not self.faults, self.faults

    @property
    def url(self) -> str:
        """The URL for `stream_url`."""
        return f"ws://127.0.0.1:{self._runner.addresses[0][1]}/bot"

    async def talk(self, number: int = 0) -> Talk:
        """Return a connection, once it is there and the switch has sent audio."""
        async with asyncio.timeout(PATIENCE_S), self._grown:
            await self._grown.wait_for(lambda: len(self.talks) > number)
        talk = self.talks[number]
        await talk.until(lambda: talk.pieces, "no audio came")
        return talk

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self._statuses:
            return web.Response(status=self._statuses.pop(0))
        await self.shaking.wait()
        protocol = self._make()
        socket = web.WebSocketResponse(protocols=protocol.subprotocols, max_msg_size=0)
        await socket.prepare(request)
        talk = Talk(protocol, request, socket, self.answering)
        async with self._grown:
            self.talks.append(talk)
            self._grown.notify_all()
        try:
            await talk.listen()
        except AssertionError as fault:
            self.faults.append(fault)
        return socket
