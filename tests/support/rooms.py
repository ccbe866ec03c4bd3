"""Clients of rooms: plain requests, and one end of `/ws`, with or without a peer connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import av
import numpy as np
from aiortc import RTCSessionDescription

from tests.support import sound
from tests.support.client import Client
from tests.support.sound import Pcm
from tests.support.switch import Places
from tests.support.webrtc import RtcClient

Message = dict[str, Any]
PATIENCE_S = 15.0
API = "/api/v1"


class Rest:
    """Plain requests to the rooms of a switch."""

    def __init__(self, switch: Places, http: aiohttp.ClientSession, **headers: str) -> None:
        self._switch, self._http = switch, http
        self._headers = headers

    async def ask(self, method: str, path: str, body: Any = None, **query: object) -> tuple[int, Any]:
        """Send a request; return status and body."""
        data = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        url = self._switch.url(API + path, **query)
        async with self._http.request(method, url, headers=self._headers, **data) as answer:
            text = await answer.text()
            return answer.status, await answer.json() if text else None

    async def create(self, name: str = "a room", **settings: Any) -> str:
        """Make a room and return its id."""
        status, room = await self.ask("POST", "/rooms", {"name": name, "settings": settings})
        assert status == 201, room
        return str(room["id"])

    async def room(self, room_id: str) -> Any:
        """Return a room."""
        status, room = await self.ask("GET", f"/rooms/{room_id}")
        assert status == 200, room
        return room

    async def people(self, room_id: str) -> list[Message]:
        """Return who is in a room."""
        status, page = await self.ask("GET", f"/rooms/{room_id}/participants")
        assert status == 200, page
        return list(page["data"])

    async def sessions(self, room_id: str) -> list[Message]:
        """Return the sessions of a room, the newest first."""
        status, page = await self.ask("GET", "/sessions", room_id=room_id, limit=100)
        assert status == 200, page
        return list(page["data"])


class Socket:
    """One end of `/ws`; use it with `async with`."""

    def __init__(self, switch: Places, **query: object) -> None:
        self._url = switch.socket_url("/ws", **query)
        self.messages: list[Message] = []
        self.close_code: int | None = None
        self.room = self.id = ""
        self._at = 0
        self._changed = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None

    async def __aenter__(self) -> Self:
        """Connect."""
        self._session = aiohttp.ClientSession()
        self._ws = await self._session.ws_connect(self._url)
        self._reading = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        assert self._ws is not None
        assert self._session is not None
        await self._ws.close()
        if self._reading is not None:
            await self._reading
        await self._session.close()

    async def _read(self) -> None:
        assert self._ws is not None
        async for message in self._ws:
            async with self._changed:
                self.messages.append(message.json())
                self._changed.notify_all()
        async with self._changed:
            self.close_code = self._ws.close_code
            self._changed.notify_all()

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a message; inside a room its place is added."""
        assert self._ws is not None
        place = {"roomId": self.room, "participantId": self.id} if self.id else {}
        await self._ws.send_json({"type": kind, **place, **fields})

    async def raw(self, text: str) -> None:
        """Send a text as it is."""
        assert self._ws is not None
        await self._ws.send_str(text)

    async def wait(
        self, kind: str, where: Callable[[Message], bool] = lambda _: True, timeout: float = PATIENCE_S
    ) -> Message:
        """Return the next message of a kind; what came before it is passed over."""

        def find() -> Message | None:
            for place in range(self._at, len(self.messages)):
                message = self.messages[place]
                if message["type"] == kind and where(message):
                    self._at = place + 1
                    return message
            return None

        async with self._changed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    while (found := find()) is None and self.close_code is None:
                        await self._changed.wait()
                    if found is not None:
                        return found
        raise AssertionError(f"no {kind} (closed: {self.close_code}): {self.messages[self._at :]}")

    async def closed(self) -> int:
        """Wait until the switch closes, and return the code."""
        async with self._changed, asyncio.timeout(PATIENCE_S):
            while self.close_code is None:
                await self._changed.wait()
        return self.close_code

    async def join(self, room: str, agent: str, **metadata: Any) -> Message:
        """Join a room and wait until that is confirmed."""
        self.id = ""
        await self.say("room:join", roomId=room, agentId=agent, metadata=metadata)
        joined = await self.wait("room:joined")
        self.room, self.id = joined["roomId"], joined["participantId"]
        return joined

    async def error(self, code: str) -> Message:
        """Wait for an error, which must have this code."""
        error = await self.wait("room:error")
        assert error["code"] == code, error
        assert error["message"], error
        return error


class Browser(Socket):
    """One end of `/ws` with a peer connection (aiortc), which hums a tone."""

    def __init__(self, switch: Places, **query: object) -> None:
        super().__init__(switch, **query)
        self.rtc = RtcClient("")
        """Only its peer connection is used."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both."""
        await self.rtc.peer.close()
        for task in self.rtc._listening:
            task.cancel()
        await asyncio.gather(*self.rtc._listening, return_exceptions=True)
        await super().__aexit__(kind, error, trace)

    def hum(self, frequency: float, seconds: float = 60.0) -> None:
        """Begin to hum."""
        self.rtc.voice.say(sound.tone(frequency, seconds))

    async def talk(self) -> None:
        """Offer to the switch and take its answer; return when the connection stands."""
        await self.say("webrtc:offer", offer={"type": "offer", "sdp": await self.rtc.offer(events=False)})
        answer = await self.wait("webrtc:answer")
        await self.take(answer)
        await self.rtc.connected()

    async def take(self, answer: Message) -> None:
        """Take an answer."""
        description = RTCSessionDescription(answer["answer"]["sdp"], answer["answer"]["type"])
        await self.rtc.peer.setRemoteDescription(description)

    async def hear(self, seconds: float) -> Pcm:
        """Return what comes in from now on, 48 kHz."""
        return await self.rtc.hear(seconds)


LEAST_SHARE = 0.02
"""Of the power: whose tone has less is not heard. The least that three voices leave for one is far more."""


def tones(pcm: Pcm, among: Iterable[float], rate: int) -> set[float]:
    """Return which tones are in a sound."""
    return {hz for hz in among if sound.share(pcm, hz, rate, width=15) > LEAST_SHARE}


@contextlib.asynccontextmanager
async def humming(client: Client, hz: float) -> AsyncIterator[None]:
    """Let a client of `/call` hum."""
    task = asyncio.ensure_future(client.speak(sound.tone(hz, 60)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def read_recording(path: Path) -> tuple[Pcm, int]:
    """Return both sides of a recording, `(2, samples)`, and its rate."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        pieces = [frame.to_ndarray() for frame in file.decode(stream)]
        pcm = np.concatenate(pieces, axis=1)
        if pcm.shape[0] == 1:
            pcm = pcm.reshape(-1, 2).T
        return pcm.astype(np.int16) if pcm.dtype != np.float32 else (pcm * 32767).astype(
            np.int16
        ), stream.rate
