"""Loopback servers that speak, one for each protocol."""

import asyncio
import base64
import hashlib
import hmac
import json
import struct
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from aiohttp import web

from tests.speech.hosted import vendors_asr
from tests.speech.hosted.vendor import KEY, TEXT, Line, Vendor, socket, speech

PIECE = 801
"""Bytes of a message: an odd number, so that samples are cut."""


class Voice(Vendor):
    """What servers that speak share."""

    async def pieces(self, text: str, rate: int) -> AsyncIterator[bytes]:
        """Yield the audio of a text; breaks off where the test wants that."""
        self.seen.texts.append(text)
        self.seen.note()
        pcm = speech(text, rate)
        for begin in range(0, len(pcm), PIECE):
            if self.trouble.cut_after_ms and begin * 500 / rate >= self.trouble.cut_after_ms:
                self.trouble.cut_after_ms = 0
                self.cutting = True
                return
            await asyncio.sleep(self.pause_s)
            yield pcm[begin : begin + PIECE]

    def cancel(self) -> None:
        self.seen.cancelled += 1
        self.seen.note()


class OpenAi(Voice):
    kind = "openai"
    rate = 24000

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/audio/speech", self._speak)]

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        self.refuse()
        self.count(request)
        self.check("key", is_right=request.headers.get("Authorization") == f"Bearer {KEY}")
        found = await request.json()
        self.check("format", is_right=found["response_format"] == "pcm")
        self.check("voice", is_right=found["voice"] == "nova")
        return await self.answer(request, found["input"], self.rate)

    def count(self, request: web.Request) -> None:
        """Count TCP connections."""
        peer = request.transport.get_extra_info("peername") if request.transport else None
        if peer != getattr(self, "_peer", None):
            self._peer = peer
            self.seen.connections += 1

    async def answer(self, request: web.Request, text: str, rate: int) -> web.StreamResponse:
        if self.trouble.garbage:
            return web.json_response({"error": "no audio today"})
        response = web.StreamResponse()
        try:
            if self.trouble.mute:
                self.seen.texts.append(text)
                self.seen.note()
                await asyncio.sleep(3600)
            await response.prepare(request)
            async for piece in self.pieces(text, rate):
                await response.write(piece)
            if self.cutting:
                self.cutting = False
                assert request.transport is not None
                request.transport.abort()
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            self.cancel()
            raise
        return response


class OpenAiWav(OpenAi):
    """A server that sends a WAV file although PCM was asked for."""

    rate = 16000

    async def answer(self, request: web.Request, text: str, rate: int) -> web.StreamResponse:
        pcm = speech(text, rate)
        self.seen.texts.append(text)
        head = b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", 16)
        head += struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16) + b"data" + struct.pack("<I", 0xFFFFFFFF)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(head[:20])
        await response.write(head[20:] + pcm)
        await response.write_eof()
        return response


class Azure(OpenAi):
    kind = "azure"

    def settings(self) -> dict[str, Any]:
        return {"key": KEY, "region": "westeurope"}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/cognitiveservices/v1", self._synthesize)]

    async def _synthesize(self, request: web.Request) -> web.StreamResponse:
        self.refuse()
        self.count(request)
        self.check("key", is_right=request.headers.get("Ocp-Apim-Subscription-Key") == KEY)
        self.check(
            "format", is_right=request.headers["X-Microsoft-OutputFormat"] == "raw-24khz-16bit-mono-pcm"
        )
        speak = ET.fromstring(await request.text())
        voice = speak[0]
        self.check("voice", is_right=voice.get("name") == "nova")
        return await self.answer(request, "".join(voice.itertext()), self.rate)


class Google(OpenAi):
    kind = "google"

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/text:synthesize", self._synthesize)]

    async def _synthesize(self, request: web.Request) -> web.StreamResponse:
        self.refuse()
        self.count(request)
        self.check("key", is_right=request.headers.get("X-Goog-Api-Key") == KEY)
        found = await request.json()
        self.check("encoding", is_right=found["audioConfig"]["audioEncoding"] == "LINEAR16")
        self.check("voice", is_right=found["voice"]["name"] == "nova")
        return await self.answer(request, found["input"]["text"], found["audioConfig"]["sampleRateHertz"])

    async def answer(self, request: web.Request, text: str, rate: int) -> web.StreamResponse:
        if self.trouble.mute or self.trouble.garbage:
            return await super().answer(request, text, rate)
        response = web.StreamResponse()
        try:
            await response.prepare(request)
            await response.write(b'{"audioContent": "')
            pcm = bytes(44)[:0] + b"RIFF" + bytes(40)
            async for piece in self.pieces(text, rate):
                pcm += piece
            if self.cutting:
                self.cutting = False
                assert request.transport is not None
                request.transport.abort()
                raise ConnectionResetError
            await response.write(base64.b64encode(pcm) + b'"}')
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            self.cancel()
            raise
        return response


class Socket(Voice):
    """A server over WebSocket that can be cancelled while it speaks."""

    path = "/"

    def routes(self) -> list[web.RouteDef]:
        return [socket(self.path, self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        if not await self.begin(line, request):
            return
        speaking: asyncio.Task[None] | None = None
        try:
            async for message in line.socket:
                self.check("text message", is_right=message.type is TEXT)
                job = await self.take(line, json.loads(message.data))
                if job is None:
                    continue
                self.check("texts overlap", is_right=speaking is None or speaking.done())
                speaking = asyncio.create_task(self._run(line, *job))
        finally:
            if speaking is not None and not speaking.done():
                speaking.cancel()
            if speaking is not None:
                await asyncio.gather(speaking, return_exceptions=True)

    async def _run(self, line: Line, text: str, rate: int, tag: str) -> None:
        try:
            async for piece in self.pieces(text, rate):
                await line.garbage()
                await self.audio(line, piece, tag)
            if self.cutting:
                self.cutting = False
                line.abort()
                return
            await self.done(line, tag)
        except ConnectionError:
            pass

    async def begin(self, line: Line, request: web.Request) -> bool:
        raise NotImplementedError

    async def take(self, line: Line, found: dict[str, Any]) -> tuple[str, int, str] | None:
        raise NotImplementedError

    async def audio(self, line: Line, piece: bytes, tag: str) -> None:
        await line.binary(piece)

    async def done(self, line: Line, tag: str) -> None:
        raise NotImplementedError


class DeepgramSpeak(Socket):
    kind = "deepgram"
    path = "/v1/speak"

    async def begin(self, line: Line, request: web.Request) -> bool:
        self.check("key", is_right=request.headers.get("Authorization") == f"Token {KEY}")
        self.check("voice", is_right=request.query["model"] == "nova")
        self.check("encoding", is_right=request.query["encoding"] == "linear16")
        self._rate = int(request.query["sample_rate"])
        self._text = ""
        await line.json({"type": "Metadata", "request_id": "r"})
        return True

    async def take(self, line: Line, found: dict[str, Any]) -> tuple[str, int, str] | None:
        match found["type"]:
            case "Speak":
                self._text += found["text"]
            case "Flush":
                text, self._text = self._text, ""
                return text, self._rate, ""
            case "Clear":
                self.cancel()
            case "Close":
                await line.socket.close()
        return None

    async def done(self, line: Line, tag: str) -> None:
        await line.json({"type": "Flushed", "sequence_id": 0})


class ElevenLabs(Socket):
    kind = "elevenlabs"
    path = "/v1/text-to-speech/nova/multi-stream-input"

    async def begin(self, line: Line, request: web.Request) -> bool:
        self.check("key", is_right=request.headers.get("xi-api-key") == KEY)
        self._rate = int(request.query["output_format"].removeprefix("pcm_"))
        self._texts: dict[str, str] = {}
        return True

    async def take(self, line: Line, found: dict[str, Any]) -> tuple[str, int, str] | None:
        if found.get("close_socket"):
            self.cancel()
            await line.socket.close()
            return None
        context = found["context_id"]
        if found.get("close_context"):
            return self._texts.pop(context).strip(), self._rate, context
        self.check("context begins with a space", is_right=context in self._texts or found["text"] == " ")
        self._texts[context] = self._texts.get(context, "") + found["text"]
        return None

    async def audio(self, line: Line, piece: bytes, tag: str) -> None:
        alignment = {"chars": ["h", "i"], "charStartTimesMs": [0, 5]}
        await line.json({"audio": "AAAA", "contextId": "an earlier one"})
        data = base64.b64encode(piece).decode()
        await line.json({"audio": data, "contextId": tag, "alignment": alignment})

    async def done(self, line: Line, tag: str) -> None:
        await line.json({"isFinal": True, "contextId": tag})


class Cartesia(Socket):
    kind = "cartesia"
    path = "/tts/websocket"

    async def begin(self, line: Line, request: web.Request) -> bool:
        self.check("key", is_right=request.headers.get("Authorization") == f"Bearer {KEY}")
        self.check("version", is_right=bool(request.headers.get("Cartesia-Version")))
        return True

    async def take(self, line: Line, found: dict[str, Any]) -> tuple[str, int, str] | None:
        if found.get("cancel"):
            self.cancel()
            return None
        self.check("voice", is_right=found["voice"] == {"mode": "id", "id": "nova"})
        form = found["output_format"]
        self.check("format", is_right=(form["container"], form["encoding"]) == ("raw", "pcm_s16le"))
        return found["transcript"], form["sample_rate"], found["context_id"]

    async def audio(self, line: Line, piece: bytes, tag: str) -> None:
        data = base64.b64encode(piece).decode()
        await line.json({"type": "chunk", "data": data, "context_id": tag, "done": False})

    async def done(self, line: Line, tag: str) -> None:
        times = {"words": ["hi"], "start": [0.01], "end": [0.02]}
        await line.json({"type": "timestamps", "context_id": tag, "word_timestamps": times})
        await line.json({"type": "done", "context_id": tag, "done": True})


class Aliyun(Socket):
    kind = "aliyun"
    path = "/api-ws/v1/inference"

    async def begin(self, line: Line, request: web.Request) -> bool:
        self.check("key", is_right=request.headers.get("Authorization") == f"bearer {KEY}")
        self._task, self._text, self._rate = "", "", 0
        return True

    async def take(self, line: Line, found: dict[str, Any]) -> tuple[str, int, str] | None:
        header, payload = found["header"], found["payload"]
        match header["action"]:
            case "run-task":
                self.check("a task while another one runs", is_right=not self._task)
                self._task = header["task_id"]
                parameters = payload["parameters"]
                self._rate = parameters["sample_rate"]
                self.check("voice", is_right=parameters["voice"] == "nova" and parameters["format"] == "pcm")
                await line.json({"header": {"event": "task-started", "task_id": self._task}})
            case "continue-task":
                self.check("task", is_right=header["task_id"] == self._task)
                self._text += payload["input"]["text"]
            case "finish-task":
                text, self._text = self._text, ""
                return text, self._rate, header["task_id"]
        return None

    async def done(self, line: Line, tag: str) -> None:
        self._task = ""
        await line.json({"header": {"event": "task-finished", "task_id": tag}})


class Tencent(Socket):
    kind = "tencent"
    path = "/stream_wsv2"

    def settings(self) -> dict[str, Any]:
        return {"key": KEY, "secret_id": "AKIDvendor", "app_id": "1259"}

    async def begin(self, line: Line, request: web.Request) -> bool:
        pairs = dict(part.split("=", 1) for part in request.raw_path.partition("?")[2].split("&"))
        proof = unquote(pairs.pop("Signature"))
        plain = "&".join(f"{name}={unquote(pairs[name])}" for name in sorted(pairs))
        text = f"GET127.0.0.1:{self.port}/stream_wsv2?{plain}"
        expected = base64.b64encode(hmac.new(KEY.encode(), text.encode(), hashlib.sha1).digest()).decode()
        self.check("signature", is_right=proof == expected)
        self.check("action", is_right=pairs["Action"] == "TextToStreamAudioWSv2")
        self.check("voice", is_right=pairs["VoiceType"] == "nova")
        self._rate, self._text, self._session = int(pairs["SampleRate"]), "", pairs["SessionId"]
        await line.json({"code": 0, "message": "", "session_id": self._session, "ready": 1})
        return True

    async def take(self, line: Line, found: dict[str, Any]) -> tuple[str, int, str] | None:
        match found["action"]:
            case "ACTION_SYNTHESIS":
                self._text += found["data"]
            case "ACTION_COMPLETE":
                return self._text, self._rate, found["session_id"]
            case "ACTION_RESET":
                self.cancel()
        return None

    async def done(self, line: Line, tag: str) -> None:
        await line.json({"code": 0, "message": "", "session_id": tag, "final": 1})
        await line.socket.close()


class Wyoming(Voice, vendors_asr.Wyoming):
    kind = "wyoming"
    pace = 22050

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (event := await self._event(reader)) is not None:
            kind, data, _ = event
            self.check("event", is_right=kind == "synthesize" and data["voice"] == {"name": "nova"})
            form = {"rate": self.pace, "width": 2, "channels": 1}
            await self._send(writer, "audio-start", form)
            try:
                async for piece in self.pieces(data["text"], self.pace):
                    await self._send(writer, "audio-chunk", form, piece)
            except ConnectionError:
                self.cancel()
                raise
            if self.cutting:
                self.cutting = False
                return
            await self._send(writer, "audio-stop", {})


SOCKETS: tuple[type[Voice], ...] = (DeepgramSpeak, ElevenLabs, Cartesia, Aliyun, Tencent, Wyoming)
HTTP: tuple[type[Voice], ...] = (OpenAi, Azure, Google)
TTS = (*SOCKETS, *HTTP)
REUSABLE = tuple(one for one in TTS if one is not Tencent)
TELLS = (DeepgramSpeak, ElevenLabs, Cartesia, Tencent)
"""They have a message that stops what is spoken."""
