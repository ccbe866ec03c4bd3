"""Measure what a `/call/webrtc` leg with Opus costs the whole process, sockets, ICE and DTLS included.

The switch runs as its own process (`python -m softswitch`), the callers in this one: aiortc with packets that
were encoded beforehand and a decoder that only counts, so that the machine can carry them. Each caller hears a
looped bed of sound. CPU is that of the switch's process, from /proc, over the measured time.

    python -m bench.webrtc_legs --calls 30 --seconds 15 [--loop asyncio] [--vad silero]
"""

import argparse
import asyncio
import fractions
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import aiortc.rtcrtpreceiver
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame, CodecContext, Packet
from numpy.typing import NDArray

from bench.call_legs import cpu_seconds, speech_like
from softswitch.audio.wav import header

TICK_S = 0.02
WARM_S = 3.0
_TIME_BASE = fractions.Fraction(1, 48000)


class Counted:
    """Stand in for the decoder of aiortc, which would cost more than the switch."""

    packets = 0

    def decode(self, _frame: object) -> list[AudioFrame]:
        """Count a packet."""
        Counted.packets += 1
        return []


def opus_packets(pcm: NDArray[np.int16]) -> list[bytes]:
    """Return 20 ms packets of PCM16 at 48 kHz, as a browser would send them."""
    encoder = CodecContext.create("libopus", "w")
    encoder.bit_rate, encoder.sample_rate = 32000, 48000  # type: ignore[attr-defined]
    encoder.format, encoder.layout = "s16", "mono"  # type: ignore[attr-defined]
    encoder.options = {"application": "voip", "fec": "1", "packet_loss": "5"}
    encoder.time_base = _TIME_BASE
    packets: list[bytes] = []
    for begin in range(0, len(pcm) - 959, 960):
        frame = AudioFrame.from_ndarray(pcm[begin : begin + 960][None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, begin, _TIME_BASE
        packets += [bytes(packet) for packet in encoder.encode(frame)]  # type: ignore[attr-defined]
    return packets


class Microphone(MediaStreamTrack):
    """Ready-made packets in real time."""

    kind = "audio"

    def __init__(self, packets: list[bytes], begin: int) -> None:
        """Play `packets` round and round from number `begin` on."""
        super().__init__()
        self._packets = packets
        self._begin = begin
        self._sent = 0
        self._start = 0.0

    async def recv(self) -> Packet:  # type: ignore[override]
        """Return the next packet when it is due."""
        loop = asyncio.get_running_loop()
        self._start = self._start or loop.time()
        self._sent += 1
        await asyncio.sleep(max(0.0, self._start + self._sent * TICK_S - loop.time()))
        packet = Packet(self._packets[(self._begin + self._sent) % len(self._packets)])
        packet.pts, packet.time_base = self._sent * 960, _TIME_BASE
        return packet


def resident_mb(pid: int) -> float:
    """Return the memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def call(session: aiohttp.ClientSession, port: int, number: int, vad: str, packets: list[bytes]) -> Any:
    """Set one call up; return its connection, its socket and the time from invite to answer in seconds."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTrack(Microphone(packets, number * 37))
    await connection.setLocalDescription(await connection.createOffer())
    ws = await session.ws_connect(f"http://127.0.0.1:{port}/call/webrtc?id=bench-{number}&dump=false")
    option = {
        "offer": connection.localDescription.sdp,
        "vad": {"type": vad},
        "ambiance": {"path": "bed.wav", "normalLevel": 1.0},
    }
    began = time.perf_counter()
    await ws.send_json({"command": "invite", "option": option})
    while (event := await ws.receive_json(timeout=20))["event"] != "answer":
        if event["event"] in {"hangup", "reject"}:
            raise RuntimeError(json.dumps(event))
    took = time.perf_counter() - began
    await connection.setRemoteDescription(RTCSessionDescription(event["sdp"], "answer"))
    return connection, ws, took


async def load(port: int, pid: int, calls: int, seconds: float, vad: str) -> dict[str, Any]:
    """Run the callers and return the figures."""
    pcm = np.interp(np.arange(480000) / 3, np.arange(160000), speech_like(10, 1)).astype(np.int16)
    packets = opus_packets(pcm)
    async with aiohttp.ClientSession() as session:
        parties = [await call(session, port, number, vad, packets) for number in range(calls)]
        connections = [connection for connection, _, _ in parties]
        for _ in range(400):
            if all(connection.connectionState == "connected" for connection in connections):
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(WARM_S)
        begun, received, start = cpu_seconds(pid), Counted.packets, time.monotonic()
        await asyncio.sleep(seconds)
        used, wall = cpu_seconds(pid) - begun, time.monotonic() - start
        figures = {
            "calls": calls,
            "connected": sum(connection.connectionState == "connected" for connection in connections),
            "cpu_us_per_leg_per_20ms": used / wall / calls * TICK_S * 1e6,
            "core_percent": used / wall * 100,
            "packets_per_second_per_call": (Counted.packets - received) / wall / calls,
            "answer_p50_ms": statistics.median(took for _, _, took in parties) * 1000,
            "answer_max_ms": max(took for _, _, took in parties) * 1000,
            "rss_mb": resident_mb(pid),
        }
        for connection, ws, _ in parties:
            await ws.close()
            await connection.close()
    return figures


def main() -> None:
    """Start a switch, load it, print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--vad", default="silero")
    arguments = parser.parse_args()
    vars(aiortc.rtcrtpreceiver)["get_decoder"] = lambda _codec: Counted()
    vars(sys.modules["aioice.ice"])["get_host_addresses"] = lambda **_: ["127.0.0.1"]
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        sounds = Path(folder) / "sounds"
        sounds.mkdir()
        bed = speech_like(5, 99).tobytes()
        (sounds / "bed.wav").write_bytes(header(16000, 1, len(bed)) + bed)
        environment = {**os.environ, "SOFTSWITCH_HTTP_PORT": str(port), "SOFTSWITCH_PATHS_DATA": folder}
        environment |= {"SOFTSWITCH_LOG_LEVEL": "warning", "SOFTSWITCH_HTTP_LOOP": arguments.loop}
        environment["SOFTSWITCH_ICE_HOST_ADDRESSES"] = "127.0.0.1"
        process = subprocess.Popen([sys.executable, "-m", "softswitch"], env=environment)
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            figures = asyncio.run(load(port, process.pid, arguments.calls, arguments.seconds, arguments.vad))
            print(json.dumps({**figures, "loop": arguments.loop, "vad": arguments.vad}, indent=1))
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    main()
