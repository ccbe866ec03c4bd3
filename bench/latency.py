"""Measure what a person waits for: the answer, the first word, silence after an interruption.

The switch runs as its own process; everything is measured at the client, from the moment it sends its
command, so the figures include both socket ways on loopback.

    python bench/latency.py [calls]
"""

import asyncio
import json
import sys
import time

import aiohttp
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import AudioStreamTrack

from bench._server import Server, server

SILENT = 50.0
"""RMS below which a frame counts as silence, PCM16 units."""
TEXT = "This is a long text about a machine that talks and talks, until the caller speaks. " * 3


def loud(pcm: bytes) -> bool:
    """Tell whether a frame can be heard."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    return samples.size > 0 and float(np.sqrt(np.mean(samples**2))) > SILENT


async def next_event(ws: aiohttp.ClientWebSocketResponse, name: str) -> dict[str, object]:
    """Return the next event of a name, ignoring everything else."""
    async for message in ws:
        if message.type is aiohttp.WSMsgType.TEXT:
            event = json.loads(message.data)
            if event["event"] == name:
                return event
            if event["event"] in ("error", "hangup"):
                raise RuntimeError(message.data)
    raise RuntimeError("the socket closed")


async def next_loud(ws: aiohttp.ClientWebSocketResponse) -> float:
    """Return when the next audible frame came."""
    async for message in ws:
        if message.type is aiohttp.WSMsgType.BINARY and loud(message.data):
            return time.monotonic()
    raise RuntimeError("the socket closed")


async def last_loud(ws: aiohttp.ClientWebSocketResponse) -> float:
    """Return when the last audible frame came, once nothing was heard for 200 ms."""
    last = time.monotonic()
    while True:
        try:
            message = await asyncio.wait_for(ws.receive(), 0.2)
        except TimeoutError:
            return last
        if message.type is aiohttp.WSMsgType.BINARY and loud(message.data):
            last = time.monotonic()
        elif time.monotonic() - last > 0.2:
            return last


async def one_call(session: aiohttp.ClientSession, url: str, number: int) -> dict[str, float]:
    """Make one `/call`: answer, first audio of speech, interruption."""
    async with session.ws_connect(url) as ws:
        begun = time.monotonic()
        await ws.send_json({"command": "invite", "option": {"vad": False}})
        await next_event(ws, "answer")
        answered = time.monotonic() - begun
        begun = time.monotonic()
        # The number keeps the phrase cache out of it.
        await ws.send_json({"command": "tts", "text": f"Number {number}. {TEXT}", "playId": "a"})
        first = await next_loud(ws) - begun
        await asyncio.sleep(0.3 + number % 20 / 1000)
        begun = time.monotonic()
        await ws.send_json({"command": "interrupt"})
        silent = max(0.0, await last_loud(ws) - begun)
        await ws.send_json({"command": "hangup"})
    return {
        "answer on /call": answered,
        "first audio of built-in speech": first,
        "interrupt to silence": silent,
    }


async def one_webrtc(session: aiohttp.ClientSession, url: str) -> dict[str, float]:
    """Make one `/call/webrtc` with host candidates in the offer; only the answer is waited for."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTrack(AudioStreamTrack())
    await peer.setLocalDescription(await peer.createOffer())
    async with session.ws_connect(url) as ws:
        begun = time.monotonic()
        await ws.send_json(
            {"command": "invite", "option": {"offer": peer.localDescription.sdp, "vad": False}}
        )
        await next_event(ws, "answer")
        answered = time.monotonic() - begun
        await ws.send_json({"command": "hangup"})
    await peer.close()
    return {"answer on /call/webrtc": answered}


async def run(switch: Server, calls: int) -> dict[str, list[float]]:
    """Make calls, one after another."""
    figures: dict[str, list[float]] = {}
    base = f"http://127.0.0.1:{switch.port}"
    async with aiohttp.ClientSession() as session:
        for number in range(calls + 3):
            measured = await one_call(session, f"{base}/call", number)
            measured |= await one_webrtc(session, f"{base}/call/webrtc")
            for name, seconds in measured.items():
                if number >= 3:
                    figures.setdefault(name, []).append(seconds * 1000)
    return figures


def main() -> None:
    """Print a table."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with server() as switch:
        figures = asyncio.run(run(switch, calls))
    print(f"{calls} calls{'':26} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8}")
    for name, values in figures.items():
        p50, p95 = np.percentile(values, (50, 95))
        print(f"{name:36} {p50:8.1f} {p95:8.1f} {max(values):8.1f}")


if __name__ == "__main__":
    main()
