"""Measure rooms: legs through the engine, the way from joining to the first sound, pages of many rooms.

python bench/rooms.py
"""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench._server import Server, server

ROOMS, PEOPLE = 2000, 5
AT_ONCE = 32
PAGES = 40
JOINS = 8


async def ask(http: aiohttp.ClientSession, method: str, url: str, body: Any = None) -> Any:
    """Send a request and return what came back."""
    async with http.request(method, url, json=body) as answer:
        assert answer.status < 300, await answer.text()
        return await answer.json()


async def fill(http: aiohttp.ClientSession, base: str) -> float:
    """Make the rooms with their people; return how long one request took."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            body = {"name": f"room {number}", "settings": {"topology": "mix"}}
            room = await ask(http, "POST", f"{base}/rooms", body)
            for agent in range(PEOPLE):
                place = f"{base}/rooms/{room['id']}/participants"
                await ask(http, "POST", place, {"agent_id": f"agent-{agent}"})

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(ROOMS)))
    return (time.monotonic() - began) / (ROOMS * (PEOPLE + 1))


async def pages(http: aiohttp.ClientSession, base: str, query: str) -> list[float]:
    """Return how long pages all over the list took, in milliseconds."""
    taken = []
    for offset in np.linspace(0, ROOMS - 100, PAGES).astype(int).tolist():
        began = time.perf_counter()
        page = await ask(http, "GET", f"{base}/rooms?limit=100&offset={offset}{query}")
        taken.append(1000 * (time.perf_counter() - began))
        assert len(page["data"]) == 100
        assert page["data"][0]["participants_count"] == PEOPLE
    return taken


async def heard(track: MediaStreamTrack) -> None:
    """Return when there is sound."""
    while True:
        frame = await track.recv()
        if np.abs(frame.to_ndarray()).max() > 500:  # type: ignore[union-attr]
            return


async def join_by_webrtc(http: aiohttp.ClientSession, port: int, room: str) -> float:
    """Join a room that hums, and return after how many milliseconds it is heard."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio", direction="sendrecv")
    await peer.setLocalDescription(await peer.createOffer())
    async with http.ws_connect(f"ws://127.0.0.1:{port}/ws") as ws:
        began = time.perf_counter()
        await ws.send_json({"type": "room:join", "roomId": room, "agentId": str(began)})
        place: dict[str, str] = {}
        async for message in ws:
            said = message.json()
            if said["type"] == "room:joined":
                place = {"roomId": room, "participantId": said["participantId"]}
                offer = {"type": "offer", "sdp": peer.localDescription.sdp}
                await ws.send_json({"type": "webrtc:offer", **place, "offer": offer})
            elif said["type"] == "webrtc:answer":
                await peer.setRemoteDescription(RTCSessionDescription(said["answer"]["sdp"], "answer"))
                break
        await heard(peer.getReceivers()[0].track)
        taken = 1000 * (time.perf_counter() - began)
        await ws.send_json({"type": "room:leave", **place})
        await peer.close()
    return taken


async def join_by_call(http: aiohttp.ClientSession, port: int, room: str) -> float:
    """Call a room that hums, and return after how many milliseconds it is heard."""
    async with http.ws_connect(f"ws://127.0.0.1:{port}/call") as ws:
        began = time.perf_counter()
        await ws.send_json({"command": "invite", "option": {"callee": f"room:{room}"}})
        async for message in ws:
            if (
                message.type is aiohttp.WSMsgType.BINARY
                and np.abs(np.frombuffer(message.data, "<i2")).max() > 500
            ):
                break
        return 1000 * (time.perf_counter() - began)


async def hum(http: aiohttp.ClientSession, port: int, room: str, ready: asyncio.Event) -> None:
    """Hum in a room."""
    wave = (6000 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype("<i2").tobytes()
    async with http.ws_connect(f"ws://127.0.0.1:{port}/call") as ws:
        await ws.send_json({"command": "invite", "option": {"callee": f"room:{room}"}})
        await ws.receive()
        ready.set()
        while True:
            await ws.send_bytes(wave)
            await asyncio.sleep(0.98)


async def outside(running: Server) -> None:
    """Measure a switch from outside."""
    base = f"http://127.0.0.1:{running.port}/api/v1"
    async with aiohttp.ClientSession() as http:
        room = (await ask(http, "POST", f"{base}/rooms", {"settings": {"topology": "mix"}}))["id"]
        ready = asyncio.Event()
        humming = asyncio.ensure_future(hum(http, running.port, room, ready))
        await ready.wait()
        await asyncio.sleep(0.5)
        print("| joining to first sound | median ms | worst ms |\n| --- | --- | --- |")
        for name, join in (("WebRTC by /ws (aiortc)", join_by_webrtc), ("/call, callee room:", join_by_call)):
            taken = [await join(http, running.port, room) for _ in range(JOINS)]
            print(f"| {name} | {np.median(taken):.0f} | {max(taken):.0f} |")
        humming.cancel()
        each = await fill(http, base)
        print(f"\n{ROOMS} rooms with {ROOMS * PEOPLE} people: {each * 1e6:.0f} µs a request to make them\n")
        print("| page of 100 rooms | median ms | worst ms |\n| --- | --- | --- |")
        for name, query in (("all", ""), ("by status", "&status=active")):
            taken = await pages(http, base, query)
            print(f"| {name} | {np.median(taken):.1f} | {max(taken):.1f} |")
        print()


def legs(count: int, way: str) -> None:
    """Measure G.711 legs with sockets in the engine."""
    script = Path(__file__).with_name("sip_legs.py")
    subprocess.run([sys.executable, str(script), str(count), "6", way], check=True)


def main() -> None:
    """Print everything."""
    with server(ROOMS_CONNECT_TIMEOUT_S="600", ROOMS_MAX_ROOMS="20000") as running:
        asyncio.run(outside(running))
    sys.stdout.flush()
    legs(200, "rooms of 4")
    legs(200, "one room")


if __name__ == "__main__":
    main()
