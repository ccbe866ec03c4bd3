"""Measure the stream dialects: CPU of a media message each way, and how soon a lone message sounds.

The CPU is that of dialect and encoding alone. Then the switch runs as its own process, a bot in Twilio's
protocol sends one message of 20 ms at a time into a silent call, and the party of the call on `/call` notes
when it sounds: both socket ways on loopback are included.

    python bench/stream_dialects.py [messages]
"""

import asyncio
import base64
import json
import sys
import time
from collections.abc import Callable

import aiohttp
import numpy as np
from aiohttp import web

from bench._server import Server, server
from bench.stream_protocols import idling
from softswitch.call.interfaces import StreamRequest
from softswitch.dialects.streams import stream_dialects
from softswitch.dialects.streams.agent_session import AgentStreams
from softswitch.legs.stream import dialect as d
from softswitch.legs.stream.encoding import decoder
from softswitch.settings import Settings

ROUNDS = 5
MESSAGES = 2000
LOUD = 500.0
"""RMS from which a frame of the call counts as sound, PCM16 units."""


def best(work: Callable[[], object]) -> float:
    """Return the microseconds of one message, the best of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(MESSAGES):
            work()
        rounds.append((time.perf_counter() - start) / MESSAGES * 1e6)
    return min(rounds)


def spoken(name: str, data: bytes) -> bytes:
    """Return a message of the service with audio."""
    payload = base64.b64encode(data).decode()
    match name:
        case "plivo":
            media = {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": payload}
            return json.dumps({"event": "playAudio", "media": media}).encode()
        case _:
            return json.dumps({"event": "media", "media": {"payload": payload}}).encode()


def cost(name: str, dialect: d.StreamDialect) -> tuple[float, float]:
    """Return the microseconds of a message to the service and of one from it."""
    request = StreamRequest("call", "stream", "ws://x/", two_way=True, channel="inbound", protocol=name)
    session = dialect.open(request)
    traits = session.traits
    frame = traits.sends.sample_rate * traits.frame_ms // 1000
    rng = np.random.default_rng(1)
    pcm = rng.integers(-9000, 9000, frame).astype("<i2").tobytes()
    decode = decoder(traits.receives.encoding)
    code = pcm if traits.sends.encoding == "pcm16" else pcm[: len(pcm) // 2]

    def take() -> None:
        values = session.read_binary(code, 0) if traits.takes_binary else session.read_text(message, 0)
        for value in values:
            assert isinstance(value, d.Audio)
            decode(value.data)

    message = b"" if traits.takes_binary else spoken(name, code)
    sent = best(lambda: session.media("inbound", 1, code, 0))
    return sent, best(take)


class Bot:
    """A bot in Twilio's protocol that says one message when it is told."""

    def __init__(self) -> None:
        self.socket: asyncio.Future[web.WebSocketResponse] = asyncio.get_running_loop().create_future()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve the stream."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if not self.socket.done() and '"media"' in message.data:
                self.socket.set_result(socket)
        return socket


async def lone(switch: Server, count: int) -> list[float]:
    """Return the milliseconds from each lone message to its sound."""
    bot, application = Bot(), web.Application()
    application.router.add_get("/", bot.serve)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    payload = base64.b64encode(bytes(80) + bytes((128,)) * 80).decode()  # The loudest codes, both signs.
    say = json.dumps({"event": "media", "media": {"payload": payload}})
    found = []
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{switch.port}/call") as ws,
        ):
            option = {"vad": False, "mediaPass": {"url": url, "protocol": "twilio"}}
            await ws.send_json({"command": "invite", "option": option})
            arrivals: asyncio.Queue[float] = asyncio.Queue()
            listening = asyncio.ensure_future(listen(ws, arrivals))
            service = await asyncio.wait_for(bot.socket, 10)
            for number in range(count):
                await asyncio.sleep(0.4 + number % 20 / 1000)  # At all phases of a tick.
                while not arrivals.empty():
                    arrivals.get_nowait()
                begun = time.monotonic()
                await service.send_str(say)
                found.append((await asyncio.wait_for(arrivals.get(), 5) - begun) * 1000)
            listening.cancel()
    finally:
        await runner.cleanup()
    return found


async def listen(ws: aiohttp.ClientWebSocketResponse, arrivals: "asyncio.Queue[float]") -> None:
    """Note when audible frames come."""
    async for message in ws:
        if message.type is aiohttp.WSMsgType.BINARY:
            samples = np.frombuffer(message.data, "<i2").astype(np.float64)
            if samples.size and float(np.sqrt(np.mean(samples**2))) > LOUD:
                arrivals.put_nowait(time.monotonic())


def main() -> None:
    """Print both tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print("| protocol | us to the service | us from it |")
    print("|---|---|---|")
    for name, dialect in stream_dialects(Settings()).items():
        if isinstance(
            dialect, AgentStreams
        ):  # Their audio is part of utterances: a message alone says little.
            continue
        sent, taken = cost(name, dialect)
        print(f"| {name} | {sent:.1f} | {taken:.1f} |")
    with server(EGRESS_ALLOW="127.0.0.0/8") as switch, idling() as control:
        values = asyncio.run(lone(switch, count))
    p50, p99 = np.percentile(values, (50, 99))
    print(f"\n{count} lone messages of 20 ms sound after: p50 {p50:.0f} ms, p99 {p99:.0f} ms (goal 60 ms)")
    p50, p99 = np.percentile(control, (50, 99))
    print(f"a process beside it that wakes up every 20 ms: p50 {p50:.0f} ms, p99 {p99:.0f} ms between two")


if __name__ == "__main__":
    main()
