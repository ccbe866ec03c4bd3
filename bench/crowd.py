"""Let a crowd call at once: 20 WebRTC calls and 100 `/call` calls, and measure gaps in what they hear.

The switch, the WebRTC callers and the WebSocket callers are a process each. Late ticks are the switch's own
count (`softswitch_media_late_ticks_total`: begun more than 5 ms late); a gap is the time between two frames
at a `/call` caller, 20 ms when all is well. A fourth process does nothing but wake up every 20 ms: where that
one is late, it is the machine that stood still, and the figures are to be read with it.

    python bench/crowd.py [seconds]
"""

import asyncio
import contextlib
import multiprocessing
import os
import sys
import time
import urllib.request
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event

import aiohttp
import aioice.ice
import aiortc.rtcrtpreceiver
import numpy as np

from bench._server import Server, server
from bench.call_legs import PARTS, TICK_S, Caller, masked, speech_like
from bench.webrtc_legs import Counted, call, opus_packets
from softswitch.audio.wav import header

WEBRTC, WEBSOCKET = 20, 100
LATE_S = 0.005


def metric(port: int, name: str) -> float:
    """Return one plain number of the switch."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        for line in response.read().decode().splitlines():
            if line.startswith(f"softswitch_{name} "):
                return float(line.split()[1])
    return 0.0


def ticks_of(port: int) -> tuple[float, float]:
    """Return the late ticks and all ticks so far. Not on the callers' loop: it would hold them up."""
    return metric(port, "media_late_ticks_total"), metric(port, "media_ticks_total")


def webrtc_crowd(port: int, ready: Event, stop: Event) -> None:
    """Hold WebRTC calls until told to stop (a process of its own)."""
    vars(aiortc.rtcrtpreceiver)["get_decoder"] = lambda _codec: Counted()
    vars(aioice.ice)["get_host_addresses"] = lambda **_: ["127.0.0.1"]

    async def hold() -> None:
        pcm = np.interp(np.arange(480000) / 3, np.arange(160000), speech_like(10, 1)).astype(np.int16)
        packets = opus_packets(pcm)
        async with aiohttp.ClientSession() as session:
            parties = [
                await call(session, port, 1000 + number, "silero", packets) for number in range(WEBRTC)
            ]
            while any(connection.connectionState != "connected" for connection, _, _ in parties):
                await asyncio.sleep(0.1)
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.2)
            for connection, ws, _ in parties:
                await ws.close()
                await connection.close()

    asyncio.run(hold())


def bystander(stop: Event, late: Synchronized, wakes: Synchronized) -> None:
    """Wake up every 20 ms until told to stop, and count the times that came more than 5 ms late."""
    with contextlib.suppress(PermissionError):
        os.nice(-10)  # As the switch's own tick: what remains is not about priority.
    due = time.monotonic()
    while not stop.is_set():
        due += TICK_S
        time.sleep(max(0.0, due - time.monotonic()))
        wakes.value += 1
        late.value += time.monotonic() - due > LATE_S


async def websocket_crowd(switch: Server, seconds: float) -> tuple[np.ndarray, float, float]:
    """Hold WebSocket calls for a time; return their gaps in ms, late ticks and ticks."""
    loop = asyncio.get_running_loop()
    callers = []
    for number in range(WEBSOCKET):
        _, caller = await loop.create_connection(
            lambda number=number: Caller(number, "silero"), "127.0.0.1", switch.port
        )
        await caller.up
        callers.append(caller)
    frames = [
        [masked(2, pcm[at : at + 640]) for at in range(0, len(pcm) - 640, 640)]
        for pcm in (speech_like(10, seed).tobytes() for seed in range(8))
    ]
    start, count, before = loop.time(), 0, None
    while (elapsed := loop.time() - start) < seconds + 3:
        if before is None and elapsed > 3:
            before = loop.run_in_executor(None, ticks_of, switch.port)
            for caller in callers:
                caller.gaps.clear()
        for caller in callers[count % PARTS :: PARTS]:
            track = frames[caller.number % 8]
            caller.transport.write(track[(count // PARTS + caller.number) % len(track)])
        count += 1
        await asyncio.sleep(max(0.0, start + count * TICK_S / PARTS - loop.time()))
    gaps = np.concatenate([caller.gaps for caller in callers]) * 1000
    late, ticks = np.subtract(ticks_of(switch.port), await before)
    for caller in callers:
        caller.transport.close()
    return gaps, late, ticks


def main() -> None:
    """Print the figures."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Event(), context.Event()
    with server() as switch:
        sounds = switch.data / "sounds"
        sounds.mkdir()
        bed = speech_like(5, 99).tobytes()
        (sounds / "bed.wav").write_bytes(header(16000, 1, len(bed)) + bed)
        own_late, own_wakes = context.Value("i", 0), context.Value("i", 0)
        alone = context.Process(target=bystander, args=(stop, own_late, own_wakes), daemon=True)
        crowd = context.Process(target=webrtc_crowd, args=(switch.port, ready, stop), daemon=True)
        crowd.start()
        if not ready.wait(120):
            raise TimeoutError("not every WebRTC call was connected")
        alone.start()
        used, start = switch.cpu_seconds(), time.monotonic()
        gaps, late, ticks = asyncio.run(websocket_crowd(switch, seconds))
        core = (switch.cpu_seconds() - used) / (time.monotonic() - start)
        stop.set()
        crowd.join(20)
        alone.join(5)
    p50, p99 = np.percentile(gaps, (50, 99))
    print(f"{WEBRTC} WebRTC and {WEBSOCKET} /call calls for {seconds:.0f} s: {core * 100:.0f} % of a core")
    print(f"ticks begun more than 5 ms late: {late:.0f} of {ticks:.0f} ({late / max(ticks, 1) * 100:.2f} %)")
    print(f"wake-ups of a process that does nothing else, as late: {own_late.value} of {own_wakes.value}")
    print(f"between frames at a /call caller: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {gaps.max():.1f} ms")
    print(f"frames that came more than 40 ms after their time: {int((gaps > 60).sum())} of {gaps.size}")


if __name__ == "__main__":
    main()
