"""Loopback servers that recognise, one for each protocol."""

import asyncio
import base64
import hashlib
import hmac
import json
import struct
from typing import Any, Self
from urllib.parse import unquote

import numpy as np
from aiohttp import web

from tests.speech.hosted.vendor import BINARY, KEY, TEXT, Ears, Line, Vendor, socket


class OpenAiRealtime(Vendor):
    kind = "openai"
    rate = 24000

    def settings(self) -> dict[str, Any]:
        return {"key": KEY, "mode": "realtime"}

    def routes(self) -> list[web.RouteDef]:
        return [socket("/realtime", self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        self.check("key", is_right=request.headers.get("Authorization") == f"Bearer {KEY}")
        self.check("intent", is_right=request.query.get("intent") == "transcription")
        self.check("no model in the address", is_right="model" not in request.query)
        ears, item = Ears(self.rate), 0
        ready = False
        async for message in line.socket:
            found = json.loads(message.data)
            match found["type"]:
                case "session.update":
                    audio = found["session"]["audio"]["input"]
                    self.check("rate", is_right=audio["format"] == {"type": "audio/pcm", "rate": 24000})
                    self.check("turns", is_right=audio["turn_detection"] is None)
                    self.check("language", is_right=audio["transcription"].get("language") == "en")
                    ready = True
                    await line.json({"type": "session.updated"})
                case "input_audio_buffer.append":
                    self.check("audio before the session is ready", is_right=ready)
                    pcm = base64.b64decode(found["audio"])
                    before = ears.text
                    ears.push(pcm)
                    if self.heard(len(pcm) // 48):
                        return
                    if ears.text != before:
                        delta = ears.text[len(before) :]
                        key = "conversation.item.input_audio_transcription.delta"
                        await line.json({"type": key, "item_id": f"i{item}", "delta": delta})
                case "input_audio_buffer.commit":
                    key = "conversation.item.input_audio_transcription.completed"
                    await line.json({"type": key, "item_id": f"i{item}", "transcript": ears.take()})
                    item += 1


class OpenAiRest(Vendor):
    kind = "openai"

    def settings(self) -> dict[str, Any]:
        return {"key": KEY, "mode": "rest"}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/audio/transcriptions", self._transcribe)]

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        self.refuse()
        self.check("key", is_right=request.headers.get("Authorization") == f"Bearer {KEY}")
        form = await request.post()
        self.check("language", is_right=form.get("language") == "en")
        self.check("model", is_right=form.get("model") == "whisper-1")
        file = form["file"]
        assert isinstance(file, web.FileField)
        content = file.file.read()
        file.file.close()
        self.check("wav", is_right=content[:4] == b"RIFF" and len(content) - 8 == _u32(content, 4))
        ears = Ears(_u32(content, 24))
        ears.push(content[44:])
        if self.heard(round(ears.heard_ms)):
            assert request.transport is not None
            request.transport.abort()
            raise ConnectionResetError
        if self.trouble.mute:
            await asyncio.sleep(3600)
        if self.trouble.garbage:
            return web.Response(text="<html>")
        return web.json_response({"text": ears.take()})


class DeepgramListen(Vendor):
    kind = "deepgram"

    def routes(self) -> list[web.RouteDef]:
        return [socket("/v1/listen", self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        self.check("key", is_right=request.headers.get("Authorization") == f"Token {KEY}")
        query = request.query
        self.check("encoding", is_right=query["encoding"] == "linear16" and query["sample_rate"] == "16000")
        self.check("language", is_right=query["language"] == "en-US")
        self.check("interim", is_right=query["interim_results"] == "true")
        ears = Ears(16000)
        async for message in line.socket:
            if message.type is BINARY:
                before = ears.text
                ears.push(message.data)
                if self.heard(len(message.data) // 32):
                    return
                if ears.text != before:
                    await line.json(self._result(ears.text, ears))
                continue
            match json.loads(message.data)["type"]:
                case "Finalize":
                    text = ears.take()
                    await line.json({**self._result(text, ears), "is_final": True, "from_finalize": True})
                case "KeepAlive":
                    self.seen.kept_alive += 1
                    self.seen.note()
                case "CloseStream":
                    self.seen.cancelled += 1
                    return
                case other:
                    self.check(f"message {other}", is_right=False)

    def _result(self, text: str, ears: Ears) -> dict[str, Any]:
        return {
            "type": "Results",
            "start": 0.0,
            "duration": ears.heard_ms / 1000,
            "is_final": False,
            "speech_final": False,
            "channel": {"alternatives": [{"transcript": text, "confidence": 0.9}]},
        }


class DeepgramFlux(Vendor):
    kind = "deepgram"

    def settings(self) -> dict[str, Any]:
        return {"key": KEY, "model": "flux-general-en"}

    def routes(self) -> list[web.RouteDef]:
        return [socket("/v2/listen", self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        self.check("key", is_right=request.headers.get("Authorization") == f"Token {KEY}")
        self.check("model", is_right=request.query["model"] == "flux-general-en")
        self.check("parameters of version 1", is_right="interim_results" not in request.query)
        await line.json({"type": "Connected", "request_id": "r", "sequence_id": 0})
        ears, turn, started = Ears(16000), 0, False
        async for message in line.socket:
            if message.type is BINARY:
                self.check("pieces of 80 ms", is_right=len(message.data) == 2560)
                before = ears.text
                ears.push(message.data)
                if self.heard(len(message.data) // 32):
                    return
                if ears.text != before:
                    event = "Update" if started else "StartOfTurn"
                    started = True
                    await line.json(self._info(event, turn, ears.text, ears))
            elif json.loads(message.data)["type"] == "ForceEndTurn":
                if started:
                    await line.json(self._info("EagerEndOfTurn", turn, ears.text, ears))
                    await line.json(self._info("EndOfTurn", turn, ears.take(), ears))
                    turn, started = turn + 1, False
            elif json.loads(message.data)["type"] == "CloseStream":
                self.seen.cancelled += 1
                return

    def _info(self, event: str, turn: int, text: str, ears: Ears) -> dict[str, Any]:
        return {
            "type": "TurnInfo",
            "event": event,
            "turn_index": turn,
            "audio_window_start": 0.0,
            "audio_window_end": ears.heard_ms / 1000,
            "transcript": text,
            "end_of_turn_confidence": 0.9 if event == "EndOfTurn" else 0.4,
            "words": [{"word": word, "confidence": 0.8} for word in text.split()],
        }


class Tencent(Vendor):
    kind = "tencent"

    def settings(self) -> dict[str, Any]:
        return {"key": KEY, "secret_id": "AKIDvendor", "app_id": "1259"}

    def routes(self) -> list[web.RouteDef]:
        return [socket("/asr/v2/{app}", self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        raw = request.raw_path.partition("?")[2]
        pairs = dict(part.split("=", 1) for part in raw.split("&"))
        proof = unquote(pairs.pop("signature"))
        plain = "&".join(f"{name}={unquote(pairs[name])}" for name in sorted(pairs))
        text = f"127.0.0.1:{self.port}/asr/v2/1259?{plain}"
        expected = base64.b64encode(hmac.new(KEY.encode(), text.encode(), hashlib.sha1).digest()).decode()
        if proof != expected:
            self.check("signature", is_right=False)
            await line.json({"code": 4002, "message": "signature"})
            return
        self.check("appid in the query", is_right="appid" not in pairs)
        self.check("engine", is_right=pairs["engine_model_type"] == "16k_en")
        self.check("format", is_right=pairs["voice_format"] == "1" and pairs["needvad"] == "1")
        await line.json({"code": 0, "message": "success", "voice_id": pairs["voice_id"]})
        ears, index, start = Ears(16000), 0, 0.0
        async for message in line.socket:
            if message.type is TEXT:
                self.check("end", is_right=json.loads(message.data) == {"type": "end"})
                self.seen.cancelled += 1
                await line.json({"code": 0, "final": 1})
                return
            self.check("pieces of 40 ms", is_right=len(message.data) == 1280)
            before = ears.text
            if not ears.loud_ms:
                start = ears.heard_ms
            ears.push(message.data)
            if self.heard(40):
                return
            if ears.text != before:
                await line.json(
                    self._result(0 if not before else 1, index, ears.text, (start, ears.heard_ms))
                )
            if ears.loud_ms and ears.silent_ms >= float(pairs["vad_silence_time"]):
                end = ears.heard_ms - ears.silent_ms
                await line.json(self._result(2, index, ears.take(), (start, end)))
                index += 1

    def _result(self, slice_type: int, index: int, text: str, span: tuple[float, float]) -> dict[str, Any]:
        result = {
            "slice_type": slice_type,
            "index": index,
            "start_time": round(span[0]),
            "end_time": round(span[1]),
            "voice_text_str": text,
        }
        return {"code": 0, "message": "success", "result": result}


class ElevenLabs(Vendor):
    kind = "elevenlabs"

    def routes(self) -> list[web.RouteDef]:
        return [socket("/v1/speech-to-text/realtime", self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        self.check("key", is_right=request.headers.get("xi-api-key") == KEY)
        self.check("format", is_right=request.query["audio_format"] == "pcm_16000")
        self.check("commits", is_right=request.query["commit_strategy"] == "manual")
        self.check("language", is_right=request.query["language_code"] == "en")
        await line.json({"message_type": "session_started", "session_id": "s"})
        ears = Ears(16000)
        async for message in line.socket:
            found = json.loads(message.data)
            self.check("type", is_right=found["message_type"] == "input_audio_chunk")
            pcm = base64.b64decode(found["audio_base_64"])
            before = ears.text
            ears.push(pcm)
            if pcm and self.heard(len(pcm) // 32):
                return
            if found["commit"]:
                if not ears.loud_ms:
                    await line.json({"message_type": "insufficient_audio_activity", "error": "nothing"})
                else:
                    await line.json({"message_type": "committed_transcript", "text": ears.take()})
            elif ears.text != before:
                await line.json({"message_type": "partial_transcript", "text": ears.text})


class Cartesia(Vendor):
    kind = "cartesia"

    def routes(self) -> list[web.RouteDef]:
        return [socket("/stt/websocket", self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        self.check("key", is_right=request.headers.get("Authorization") == f"Bearer {KEY}")
        self.check("version", is_right=bool(request.headers.get("Cartesia-Version")))
        self.check("encoding", is_right=request.query["encoding"] == "pcm_s16le")
        self.check("model", is_right=request.query["model"] == "ink-2")
        ears, told = Ears(16000), ""
        async for message in line.socket:
            if message.type is BINARY:
                before = ears.text
                ears.push(message.data)
                if self.heard(len(message.data) // 32):
                    return
                if ears.text != before:
                    # Final pieces are deltas; every other one is final at once.
                    piece = ears.text[len(told) :]
                    final = len(ears.text.split()) % 2 == 0
                    await line.json({"type": "transcript", "text": piece, "is_final": final})
                    told = ears.text if final else told
            elif message.data == "finalize":
                piece = ears.text[len(told) :]
                if piece:
                    await line.json({"type": "transcript", "text": piece, "is_final": True})
                ears.take()
                told = ""
                await line.json({"type": "flush_done", "request_id": "r"})
            elif message.data == "close":
                self.seen.cancelled += 1
                return


class Aliyun(Vendor):
    kind = "aliyun"

    def routes(self) -> list[web.RouteDef]:
        return [socket("/api-ws/v1/inference", self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        self.check("key", is_right=request.headers.get("Authorization") == f"bearer {KEY}")
        ears, task, silence, start = Ears(16000), "", 0, 0.0
        async for message in line.socket:
            if message.type is TEXT:
                found = json.loads(message.data)
                match found["header"]["action"]:
                    case "run-task":
                        task = found["header"]["task_id"]
                        payload = found["payload"]
                        silence = payload["parameters"]["max_sentence_silence"]
                        self.check("model", is_right=payload["model"] == "paraformer-realtime-v2")
                        self.check("format", is_right=payload["parameters"]["format"] == "pcm")
                        self.check("language", is_right=payload["parameters"]["language_hints"] == ["en"])
                        await line.json({"header": {"event": "task-started", "task_id": task}})
                    case "finish-task":
                        self.check("task", is_right=found["header"]["task_id"] == task)
                        self.seen.cancelled += 1
                        return
                continue
            self.check("audio before the task", is_right=bool(task))
            before = ears.text
            if not ears.loud_ms:
                start = ears.heard_ms
            ears.push(message.data)
            if self.heard(len(message.data) // 32):
                return
            ended = bool(ears.loud_ms) and ears.silent_ms >= silence
            if ears.text != before or ended:
                end = ears.heard_ms - ears.silent_ms
                sentence: dict[str, Any] = {
                    "begin_time": round(start),
                    "end_time": round(end) if ended else None,
                }
                sentence |= {"text": ears.take() if ended else ears.text, "sentence_end": ended}
                header = {"event": "result-generated", "task_id": task}
                await line.json({"header": header, "payload": {"output": {"sentence": sentence}}})


class Azure(Vendor):
    kind = "azure"

    def settings(self) -> dict[str, Any]:
        return {"key": KEY, "region": "westeurope"}

    def routes(self) -> list[web.RouteDef]:
        return [socket("/speech/recognition/conversation/cognitiveservices/v1", self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        self.check("key", is_right=request.headers.get("Ocp-Apim-Subscription-Key") == KEY)
        self.check("language", is_right=request.query["language"] == "en-US")
        ears, turn, context, header_seen = Ears(16000), "", "", False
        async for message in line.socket:
            if message.type is TEXT:
                headers, _, body = message.data.partition("\r\n\r\n")
                found = dict(part.split(": ", 1) for part in headers.split("\r\n"))
                json.loads(body)
                if found["Path"] == "speech.context":
                    context, header_seen = found["X-RequestId"], False
                continue
            size = struct.unpack(">H", message.data[:2])[0]
            head = message.data[2 : 2 + size].decode()
            audio = message.data[2 + size :]
            found = dict(part.split(": ", 1) for part in head.strip().split("\r\n"))
            self.check("path", is_right=found["Path"] == "audio")
            turn = found["X-RequestId"]
            self.check("turn without a context", is_right=turn == context)
            if not header_seen:
                self.check("wav header first", is_right=audio[:4] == b"RIFF" and len(audio) == 44)
                header_seen = True
                await line.text(_azure("turn.start", turn, {}))
                continue
            if not audio:
                text = ears.take()
                if text:
                    await line.text(_azure("speech.phrase", turn, _phrase(text, ears.heard_ms)))
                else:
                    await line.text(_azure("speech.phrase", turn, {"RecognitionStatus": "NoMatch"}))
                await line.text(_azure("turn.end", turn, {}))
                ears = Ears(16000)
                continue
            before = ears.text
            ears.push(audio)
            if self.heard(len(audio) // 32):
                return
            if ears.text != before:
                ticks = round(ears.heard_ms * 10_000)
                hypothesis = {"Text": ears.text, "Offset": 0, "Duration": ticks}
                await line.text(_azure("speech.hypothesis", turn, hypothesis))


def _azure(path: str, turn: str, body: dict[str, Any]) -> str:
    return f"X-RequestId:{turn}\r\nContent-Type:application/json\r\nPath:{path}\r\n\r\n{json.dumps(body)}"


def _phrase(text: str, length_ms: float) -> dict[str, Any]:
    best = [{"Display": text, "Confidence": 0.9}]
    return {"RecognitionStatus": "Success", "Offset": 0, "Duration": round(length_ms * 10_000), "NBest": best}


class AssemblyAi(Vendor):
    kind = "assemblyai"

    def routes(self) -> list[web.RouteDef]:
        return [socket("/v3/ws", self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        self.check("key", is_right=request.headers.get("Authorization") == KEY)
        self.check("encoding", is_right=request.query["encoding"] == "pcm_s16le")
        self.check("model", is_right=request.query["speech_model"] == "universal-streaming-english")
        await line.json({"type": "Begin", "id": "b", "expires_at": 0})
        ears, turn = Ears(16000), 0
        async for message in line.socket:
            if message.type is BINARY:
                self.check("50 ms at least", is_right=len(message.data) >= 1600)
                before = ears.text
                ears.push(message.data)
                if self.heard(len(message.data) // 32):
                    return
                if ears.text != before:
                    await line.json(self._turn(turn, ears.text, ended=False, formatted=False))
            elif json.loads(message.data)["type"] == "ForceEndpoint":
                if ears.loud_ms:
                    text = ears.take()
                    await line.json(self._turn(turn, text, ended=True, formatted=False))
                    await line.json(self._turn(turn, text, ended=True, formatted=True))
                    turn += 1
            elif json.loads(message.data)["type"] == "Terminate":
                self.seen.cancelled += 1
                return

    def _turn(self, order: int, text: str, *, ended: bool, formatted: bool) -> dict[str, Any]:
        return {
            "type": "Turn",
            "turn_order": order,
            "transcript": text if ended else "",
            "end_of_turn": ended,
            "turn_is_formatted": formatted,
            "end_of_turn_confidence": 0.5,
            "words": [{"text": word, "start": 0, "end": 10} for word in text.split()],
        }


class Vosk(Vendor):
    kind = "vosk"
    scheme = "ws"

    def settings(self) -> dict[str, Any]:
        return {}

    def routes(self) -> list[web.RouteDef]:
        return [socket("/", self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        ears, configured = Ears(16000), False
        async for message in line.socket:
            if message.type is BINARY:
                self.check("audio before the configuration", is_right=configured)
                ears.push(message.data)
                if self.heard(len(message.data) // 32):
                    return
                await line.json({"partial": ears.text})
                continue
            found = json.loads(message.data)
            if "config" in found:
                self.check("rate", is_right=found["config"]["sample_rate"] == 16000)
                configured = True
            elif found.get("eof"):
                text = ears.take()
                result = [{"word": word, "conf": 1.0, "start": 0.0, "end": 0.1} for word in text.split()]
                await line.json({"text": text, **({"result": result} if result else {})})
                if self.trouble.mute:
                    await line.socket.receive()
                return


class SherpaOnnx(Vendor):
    kind = "sherpa-onnx"
    scheme = "ws"

    def settings(self) -> dict[str, Any]:
        return {}

    def routes(self) -> list[web.RouteDef]:
        return [socket("/", self, self._talk)]

    async def _talk(self, line: Line, request: web.Request) -> None:
        ears = Ears(16000)
        async for message in line.socket:
            if message.type is BINARY:
                samples = np.frombuffer(message.data, "<f4")
                self.check("floats", is_right=bool(np.abs(samples).max() <= 1.0))
                before = ears.text
                ears.push((samples * 32767).astype("<i2").tobytes())
                if self.heard(samples.size // 16):
                    return
                if ears.text != before:
                    await line.json({"text": ears.text, "segment": 0, "is_final": False})
            else:
                self.check("end", is_right=message.data == "Done")
                if self.trouble.mute:
                    await line.socket.receive()
                return


class Wyoming(Vendor):
    kind = "wyoming"
    scheme = "tcp"

    def settings(self) -> dict[str, Any]:
        return {}

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *args: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.connections += 1
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.seen.closed.set()
            writer.close()

    async def _event(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, Any], bytes] | None:
        line = await reader.readline()
        if not line:
            return None
        head = json.loads(line)
        data = await reader.readexactly(head.get("data_length", 0))
        payload = await reader.readexactly(head.get("payload_length", 0))
        return head["type"], json.loads(data) if data else {}, payload

    async def _send(
        self, writer: asyncio.StreamWriter, kind: str, data: dict[str, Any], payload: bytes = b""
    ) -> None:
        if self.trouble.mute:
            return
        if self.trouble.garbage:
            writer.write(b'nonsense\n{"no": "type"}\n\n')
        body = json.dumps(data).encode()
        head = {"type": kind, "data_length": len(body), "payload_length": len(payload)}
        writer.write(json.dumps(head).encode() + b"\n" + body + payload)
        await writer.drain()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ears, order = Ears(16000), []
        while (event := await self._event(reader)) is not None:
            kind, data, payload = event
            order.append(kind)
            match kind:
                case "transcribe":
                    self.check("language", is_right=data["language"] == "en")
                case "audio-start":
                    self.check("order", is_right=order == ["transcribe", "audio-start"])
                case "audio-chunk":
                    self.check(
                        "form", is_right=(data["rate"], data["width"], data["channels"]) == (16000, 2, 1)
                    )
                    before = ears.text
                    ears.push(payload)
                    if self.heard(len(payload) // 32):
                        return
                    if ears.text != before:
                        await self._send(writer, "transcript-chunk", {"text": ears.text[len(before) :]})
                case "audio-stop":
                    await self._send(writer, "transcript", {"text": ears.take()})
                    if self.trouble.mute:
                        await reader.read()
                    return


class Google(Vendor):
    kind = "google"

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/speech:recognize", self._recognise)]

    async def _recognise(self, request: web.Request) -> web.StreamResponse:
        self.refuse()
        self.check("key", is_right=request.headers.get("X-Goog-Api-Key") == KEY)
        self.check("key in the address", is_right=KEY not in request.path_qs)
        found = await request.json()
        self.check("encoding", is_right=found["config"]["encoding"] == "LINEAR16")
        self.check("language", is_right=found["config"]["languageCode"] == "en-US")
        ears = Ears(found["config"]["sampleRateHertz"])
        ears.push(base64.b64decode(found["audio"]["content"]))
        if self.heard(round(ears.heard_ms)):
            assert request.transport is not None
            request.transport.abort()
            raise ConnectionResetError
        if self.trouble.mute:
            await asyncio.sleep(3600)
        if self.trouble.garbage:
            return web.Response(text="[]")
        text = ears.take()
        results = [{"alternatives": [{"transcript": text, "confidence": 0.9}]}] if text else []
        return web.json_response({"results": results} if results else {})


def _u32(content: bytes, at: int) -> int:
    value: int = struct.unpack_from("<I", content, at)[0]
    return value


SOCKETS: tuple[type[Vendor], ...] = (
    OpenAiRealtime, DeepgramListen, DeepgramFlux, Tencent, ElevenLabs, Cartesia, Aliyun, Azure, AssemblyAi,
    Vosk, SherpaOnnx, Wyoming,
)  # fmt: skip
HTTP: tuple[type[Vendor], ...] = (OpenAiRest, Google)
ASR = (*SOCKETS, *HTTP)
REALTIME = (Tencent, Aliyun, AssemblyAi)
"""They take audio in real time only."""
