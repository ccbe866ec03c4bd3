"""A pretended switch on loopback: answers as wire-call says, and can be told to misbehave."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer


class PretendedSwitch:
    """Keeps what it was sent; `script` maps a command to the events it answers with."""

    def __init__(self):
        self.commands = []
        self.audio = []
        self.queries = []
        self.headers = []
        self.sockets = []
        self.refuse_with = None
        self.answer = {"sdp": "", "audio": {"codec": "pcm", "sampleRate": 16000, "ptime": 20}}
        self.greeting = []
        self.first_events = [("answer", self.answer)]
        self.replies = {}
        self.acknowledges = True
        self.script = {}
        self.seq = 0
        self.kept = []
        self.token = "token-1"
        self.ready = asyncio.Event()
        self.ready.set()

    async def serve(self, request):
        await self.ready.wait()
        self.queries.append(dict(request.query))
        self.headers.append(request.headers)
        if self.refuse_with:
            return web.Response(status=self.refuse_with)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        if request.query.get("resume", "").startswith("token"):
            for text in self.kept[int(request.query["seq"]) :]:
                await socket.send_str(text)
            self.token += "+"
            await socket.send_str(
                json.dumps({"event": "resumed", "timestamp": 1, "seq": self.seq, "resume": self.token})
            )
        for event, fields in self.greeting:
            await self.say(event, trackId=request.query.get("id", "session-1"), **fields)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.audio.append(message.data)
            else:
                await self._obey(request, json.loads(message.data))
        return socket

    async def _obey(self, request, command):
        self.commands.append(command)
        name = command["command"]
        if name in ("invite", "accept"):
            if request.query.get("resume"):
                self.answer["resume"] = self.token
            for event, fields in self.first_events:
                await self.say(event, trackId=request.query.get("id", "session-1"), **fields)
        if name in self.replies:
            await self.say(
                "error", error=self.replies[name], code=400, sender=name, requestId=command.get("requestId")
            )
        elif "requestId" in command and self.acknowledges:
            await self.say("ack", requestId=command["requestId"])
        for event, fields in self.script.get(name, []):
            await self.say(event, **fields)
        if name == "hangup":
            await self.say("hangup", reason=command.get("reason", "user_requested"), initiator="user")
            await self.sockets[-1].close()

    async def say(self, event, **fields):
        self.seq += 1
        message = {"event": event, "timestamp": 1000 + self.seq, "seq": self.seq, **fields}
        self.kept.append(json.dumps({key: value for key, value in message.items() if value is not None}))
        with suppress(ConnectionError):
            await self.sockets[-1].send_str(self.kept[-1])

    async def lose(self):
        """Break the connection without a word."""
        self.sockets[-1]._req.transport.abort()
        await asyncio.sleep(0)

    def sent(self, name):
        return [command for command in self.commands if command["command"] == name]


@asynccontextmanager
async def pretended() -> AsyncIterator[tuple[PretendedSwitch, str]]:
    switch, application = PretendedSwitch(), web.Application()
    application.router.add_get("/call", switch.serve)
    async with TestServer(application) as server:
        yield switch, str(server.make_url("/call"))
