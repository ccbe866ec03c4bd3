"""A switch that only pretends: enough of the calls to test the page by itself, and every event on demand."""

import asyncio
import contextlib
import json
import math
import time
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from aiohttp import WSMsgType, web
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from tests.browser.fake_administration import FakeAdministration

STATIC = Path(__file__).parents[2] / "static"
RATE = 16000
FRAME = RATE // 50
LOUD = 600.0
PITCH_HZ = 220.0
TOKEN = "come-back"


def hum(text: str) -> np.ndarray:
    """Return a 220 Hz hum in the rhythm of syllables, as long as `text` takes to say."""
    seconds = min(8.0, 0.6 + 0.06 * len(text))
    t = np.arange(int(seconds * RATE)) / RATE
    voice = sum(np.sin(2 * math.pi * PITCH_HZ * k * t) / k for k in (1, 2, 3))
    return np.asarray(7000 * voice * np.clip(np.sin(2 * math.pi * 2.2 * t) + 0.6, 0, 1), np.int16)


class FakeCall:
    """One call: a queue of audio that plays in real time, and a crude ear."""

    def __init__(
        self, ident: str, socket: web.WebSocketResponse, switch: "FakeSwitch", *, webrtc: bool
    ) -> None:
        self.ident = ident
        self.switch = switch
        self.socket = socket
        self.webrtc = webrtc
        self.telephone = False
        self.commands: list[dict[str, Any]] = []
        self.option: dict[str, Any] = {}
        self.frames: deque[np.ndarray] = deque()
        self.play_id = ""
        self.paused = False
        self.recording = "off"
        self.quiet = 100
        self.speaking = False
        self.speech_start = 0
        self.index = 0
        self.seq = 0
        self.peer: RTCPeerConnection | None = None
        self.created = time.time()
        self.keep: list[np.ndarray] | None = None
        """What was heard, once a test puts a list here."""

    async def emit(self, event: str, **fields: Any) -> None:
        self.seq += 1
        body = {"event": event, "trackId": self.ident, "timestamp": now_ms(), "seq": self.seq} | fields
        with contextlib.suppress(ConnectionError):
            await self.socket.send_str(json.dumps(body))

    async def invite(self, option: dict[str, Any]) -> None:
        self.option = option
        sdp = await self.negotiate(option["offer"]) if self.webrtc else ""
        if self.telephone and not self.seq:
            await self.emit("ringing", earlyMedia=False)
        audio = (
            {}
            if self.webrtc or self.telephone
            else {"audio": {"codec": "pcm", "sampleRate": RATE, "ptime": 20}}
        )
        token = {"resume": TOKEN} if self.switch.resumable else {}
        await self.emit("answer", sdp=sdp, **token, **audio)
        await self.emit("trackStart")

    async def negotiate(self, offer: str) -> str:
        self.peer = RTCPeerConnection()
        self.peer.addTrack(Voice(self))
        self.peer.on("track", lambda track: asyncio.ensure_future(self.listen(track)))
        await self.peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await self.peer.setLocalDescription(await self.peer.createAnswer())
        return str(self.peer.localDescription.sdp)

    async def listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(Exception):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                await self.hear(frame.to_ndarray().astype(np.float32))

    async def hear(self, pcm: np.ndarray) -> None:
        if self.keep is not None:
            self.keep.append(pcm)
        loud = float(np.sqrt(np.mean(np.square(pcm.astype(np.float32))))) > LOUD
        self.quiet = 0 if loud else self.quiet + 1
        if loud and not self.speaking:
            self.speaking, self.speech_start = True, now_ms()
            self.index += 1
            await self.emit("speaking", startTime=self.speech_start)
            if self.frames:
                self.frames.clear()
                await self.emit("interruption", playId=self.play_id, position=900)
            await self.emit(
                "asrDelta", index=self.index, startTime=self.speech_start, endTime=now_ms(), text="hello from"
            )
        if self.speaking and self.quiet > 25:
            self.speaking = False
            end = now_ms() - 500
            await self.emit("silence", startTime=end, duration=500)
            times = {"startTime": self.speech_start, "endTime": end}
            await self.emit("asrFinal", index=self.index, text="hello from the browser", **times)
            await self.emit("metrics", key="completed.asr.builtin", duration=90, data={"index": self.index})

    async def command(self, body: dict[str, Any]) -> bool:
        """Do what the command asks; return False when the call is over."""
        if self.switch.deaf:
            return True
        if body.get("command") == "ping":
            await self.socket.send_str(json.dumps({"event": "pong", "requestId": body["requestId"]}))
            return True
        self.commands.append(body)
        match body.get("command"):
            case "invite" | "accept":
                await self.invite(body.get("option", {}))
            case "tts" if body.get("text"):
                pcm = hum(body["text"])
                if body.get("playId") != self.play_id:
                    self.frames.clear()
                self.play_id = body.get("playId", "")
                self.frames.extend(pcm[at : at + FRAME] for at in range(0, len(pcm) - FRAME, FRAME))
                await self.emit("trackStart", playId=self.play_id)
                if body.get("autoHangup"):
                    await self.finish()
                    return False
                await self.emit("metrics", key="ttfb.tts.builtin", duration=34, data={"playId": self.play_id})
            case "play":
                await self.emit("error", sender="play", error="the address is not allowed", code=403)
            case "interrupt" if self.frames:
                self.frames.clear()
                await self.emit("interruption", playId=self.play_id, position=500)
            case "refer" if body["callee"] == "busy":
                await self.emit("reject", trackId="second", code=486, reason="Busy Here")
            case "refer":
                await self.emit("ringing", trackId="second", earlyMedia=False)
                await self.emit("answer", trackId="second", sdp="", refer=True)
            case "pause" | "resume" as verb:
                self.paused = verb == "pause"
            case "hangup":
                await self.emit("hangup", reason=body.get("reason"), initiator="user")
                return False
        return True

    async def finish(self) -> None:
        """Send what is queued, at once, and end."""
        while (frame := self.next_frame()) is not None:
            await self.socket.send_bytes(frame.tobytes())
        await self.emit("hangup", reason="autohangup", initiator="system")

    def row(self) -> dict[str, Any]:
        return {
            "id": self.ident,
            "call_type": "sip" if self.telephone else "webrtc" if self.webrtc else "websocket",
            "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created)),
            "option": self.option,
            "state": "up",
            "recording": self.recording,
        }

    def next_frame(self) -> np.ndarray | None:
        return self.frames.popleft() if self.frames and not self.paused else None

    async def pace(self) -> None:
        """Send audio over the socket at the pace of a clock."""
        due = time.monotonic()
        while not self.socket.closed:
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            frame = self.next_frame()
            if frame is not None:
                await self.socket.send_bytes(frame.tobytes())


class Voice(MediaStreamTrack):
    """The call's audio as aiortc wants it."""

    kind = "audio"

    def __init__(self, call: FakeCall) -> None:
        super().__init__()
        self.call = call
        self.start = time.monotonic()
        self.count = 0

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(max(0.0, self.start + self.count * 0.02 - time.monotonic()))
        pcm = self.call.next_frame()
        frame = av.AudioFrame.from_ndarray(
            (np.zeros(FRAME, np.int16) if pcm is None else pcm)[None], layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.count * FRAME, Fraction(1, RATE)
        self.count += 1
        return frame


def now_ms() -> int:
    return int(time.time() * 1000)


class FakeSwitch:
    """The routes, and the calls that are up."""

    def __init__(self) -> None:
        self.calls: dict[str, FakeCall] = {}
        self.recordings: dict[str, bytes] = {}
        self.past: list[dict[str, Any]] = []
        self.administration = FakeAdministration()
        self.trunks = self.administration.entries["trunks"]
        self.users = self.administration.entries["users"]
        self.supervised: list[dict[str, Any]] = []
        """Calls that the page may supervise."""
        self.voicemail: list[dict[str, Any]] = []
        self.queues: list[dict[str, Any]] = []
        self.rooms_open: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self.metrics = ""
        self.dumps: dict[str, list[dict[str, Any]]] = {}
        self.hours: list[dict[str, Any]] = []
        self.quality: list[dict[str, Any]] = []
        self.traces: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[dict[str, str]] = []
        """Queries of `GET /calls`."""
        self.pending: dict[str, dict[str, Any]] = {}
        """Calls that ring and wait for an answer, by id."""
        self.told: list[dict[str, Any]] = []
        """Commands that came by POST."""
        self.key = ""
        self.opened: list[str] = []
        """The call ids of all sockets, in their order."""
        self.resumable = False
        """Whether clients may come back after a lost socket."""
        self.deaf = False
        """Whether sockets are half open: commands do not arrive."""
        self.closing: list[asyncio.Task[None]] = []
        self.app = web.Application(middlewares=[self.guard])
        self.app.add_routes(
            [
                web.get("/", self.page),
                web.static("/static", STATIC),
                web.get("/call", self.socket),
                web.get("/call/webrtc", self.socket),
                web.get("/call/sip", self.socket),
                web.get("/call/lists", self.lists),
                web.get("/supervise", self.list_supervised),
                web.get("/queues", self.list_queues),
                web.get("/voicemail", self.list_voicemail),
                web.get("/voicemail/{user}/{id}", self.voice_message),
                web.patch("/voicemail/{user}/{id}", self.mark_voicemail),
                web.delete("/voicemail/{user}/{id}", self.delete_voicemail),
                web.get("/speech", self.speech),
                web.get("/readyz", self.ready),
                web.get("/admin/overview/events", self.overview),
                web.get("/calls/{id}", self.record),
                web.get("/calls/{id}/sip", self.sip),
                web.get("/dumps/{id}", self.dump),
                web.get("/api/v1/rooms", self.rooms),
                *self.administration.routes(),
                web.post("/command/{id}", self.post_command),
                web.post("/call/kill/{id}", self.kill),
                web.get("/iceservers", self.ice_servers),
                web.get("/calls", self.records),
                web.get("/recordings", self.list_recordings),
                web.get("/recordings/{name}", self.recording),
                web.delete("/recordings/{name}", self.delete_recording),
            ]
        )
        self.app.on_response_prepare.append(policy)
        self.app.on_cleanup.append(self.closed)

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        header = request.headers.get("Authorization", "").removeprefix("Bearer ")
        protocol = request.headers.get("Sec-WebSocket-Protocol", "").rpartition("softswitch.token.")[2]
        given = header or protocol or request.query.get("token")
        if (
            self.key
            and given != self.key
            and not request.path.startswith(("/static", "/favicon"))
            and request.path != "/"
        ):
            return json_answer({"error": {"code": 401, "message": "no key"}}, 401)
        response: web.StreamResponse = await handler(request)
        return response

    async def list_voicemail(self, _request: web.Request) -> web.Response:
        fresh = sum(not one["heard"] for one in self.voicemail)
        return web.json_response({"messages": self.voicemail, "new": fresh})

    async def voice_message(self, request: web.Request) -> web.Response:
        return web.Response(body=self.recordings[request.match_info["id"]], content_type="audio/wav")

    async def mark_voicemail(self, request: web.Request) -> web.Response:
        for one in self.voicemail:
            if one["id"] == request.match_info["id"]:
                one.update(await request.json())
        return web.json_response({"success": True})

    async def delete_voicemail(self, request: web.Request) -> web.Response:
        self.voicemail[:] = [one for one in self.voicemail if one["id"] != request.match_info["id"]]
        return web.json_response({"success": True})

    async def list_supervised(self, _request: web.Request) -> web.Response:
        return web.json_response({"calls": self.supervised})

    async def list_queues(self, _request: web.Request) -> web.Response:
        return web.json_response({"queues": self.queues})

    async def closed(self, _app: web.Application) -> None:
        """Wait for every peer connection to be gone."""
        await asyncio.gather(*self.closing)

    async def page(self, _request: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("softswitch",))
        await socket.prepare(request)
        ident, resumed = request.query["id"], request.query.get("resume", "") == TOKEN
        self.opened.append(ident)
        call = FakeCall(ident, socket, self, webrtc=request.path.endswith("webrtc"))
        if resumed and (before := self.calls.get(ident)):
            call.peer, before.peer = before.peer, None
        self.calls[ident] = call
        if resumed:
            await call.emit("resumed", resume=TOKEN)
        call.telephone = request.path.endswith("sip")
        if waiting := self.pending.pop(call.ident, None):
            await call.emit("incoming", caller=waiting["caller"], callee=waiting["callee"], sdp="")
        pacing = None if call.webrtc or call.telephone else asyncio.create_task(call.pace())
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    await call.hear(np.frombuffer(message.data, np.int16))
                elif not await call.command(json.loads(message.data)):
                    break
        finally:
            if self.calls.get(call.ident) is call:
                del self.calls[call.ident]
            if pacing:
                pacing.cancel()
            if call.peer:
                # Not awaited here: a server that stops would cancel it half-way and leave sockets behind.
                self.closing.append(asyncio.create_task(call.peer.close()))
        await socket.close()
        return socket

    async def ice_servers(self, _request: web.Request) -> web.Response:
        return json_answer([])

    async def records(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        number = request.query.get("number", "")
        return json_answer(
            {"calls": [call for call in self.past if number in call["caller"] + call["callee"]]}
        )

    async def lists(self, _request: web.Request) -> web.Response:
        rows = [call.row() for call in self.calls.values()]
        return json_answer({"calls": [*rows, *self.pending.values()]})

    async def kill(self, request: web.Request) -> web.Response:
        call = self.calls.get(request.match_info["id"])
        if call is None:
            return json_answer(False, 404)
        await call.emit("hangup", reason="killed", initiator="system")
        await call.socket.close()
        return json_answer(True)

    async def speech(self, _request: web.Request) -> web.Response:
        builtin = {"name": "builtin", "hosted": False, "voices": ["slt", "de"], "languages": ["de"]}
        hosted = {"name": "cloud", "hosted": True, "voices": ["nova"], "languages": []}
        defaults = {"tts": "builtin", "asr": "builtin", "vad": "silero", "voice": "", "language": "en-US"}
        both = [builtin, hosted]
        return json_answer({"tts": both, "asr": both, "vad": ["silero", "energy"], "defaults": defaults})

    async def rooms(self, _request: web.Request) -> web.Response:
        return json_answer({"data": self.rooms_open})

    async def ready(self, _request: web.Request) -> web.Response:
        if self.faults:
            return json_answer({"status": "not ready", "faults": self.faults}, 503)
        return json_answer({"status": "ready"})

    async def overview(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        turn = 0
        with contextlib.suppress(ConnectionError):
            while turn < 200:
                now = {
                    "at": 0,
                    "health": {"faults": self.faults, "warnings": []},
                    "calls": len(self.calls) + len(self.pending),
                    "trunks": self.trunks,
                    "quality": self.quality,
                    "metrics": self.metrics,
                }
                await response.write(f"event: now\ndata: {json.dumps(now)}\n\n".encode())
                hours = {"since": 0, "hours": self.hours}
                await response.write(f"event: hours\ndata: {json.dumps(hours)}\n\n".encode())
                await asyncio.sleep(0.2)
                turn += 1
        return response

    async def record(self, request: web.Request) -> web.Response:
        found = [call for call in self.past if call["id"] == request.match_info["id"]]
        dumped = {"dump": request.match_info["id"] in self.dumps}
        if not found:
            return json_answer({"error": {"message": "no record"}}, 404)
        return json_answer(found[0] | dumped)

    async def sip(self, request: web.Request) -> web.Response:
        messages = self.traces.get(request.match_info["id"])
        if messages is None:
            return json_answer({"error": {"message": "no SIP messages"}}, 404)
        return json_answer({"messages": messages})

    async def dump(self, request: web.Request) -> web.Response:
        lines = self.dumps.get(request.match_info["id"])
        if lines is None:
            return json_answer({"error": {"message": "no dump of this call"}}, 404)
        return web.Response(text="".join(json.dumps(line) + "\n" for line in lines))

    async def post_command(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.told.append(body | {"id": request.match_info["id"]})
        if body["command"] == "record" and (call := self.calls.get(request.match_info["id"])):
            states = {"start": "on", "pause": "paused", "resume": "on", "stop": "off"}
            call.recording = states[body["action"]]
            return json_answer({"success": True})
        self.pending.pop(request.match_info["id"], None)
        return json_answer({"success": True})

    async def list_recordings(self, _request: web.Request) -> web.Response:
        rows = [
            {
                "name": name,
                "callId": Path(name).stem,
                "size": len(data),
                "createdAt": "2030-01-02T03:04:05Z",
                "durationMs": 8000,
            }
            for name, data in self.recordings.items()
        ]
        return json_answer({"recordings": rows})

    async def recording(self, request: web.Request) -> web.Response:
        return web.Response(body=self.recordings[request.match_info["name"]], content_type="audio/wav")

    async def delete_recording(self, request: web.Request) -> web.Response:
        del self.recordings[request.match_info["name"]]
        return web.Response(status=204)


async def policy(_request: web.Request, response: web.StreamResponse) -> None:
    """Answer every page under the policy that the real switch has."""
    response.headers["Content-Security-Policy"] = "default-src 'self'"


def json_answer(body: Any, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)


if __name__ == "__main__":
    web.run_app(FakeSwitch().app, host="127.0.0.1", port=8099)
