"""Measure what a `/call/webrtc` leg with Opus costs the whole process, sockets, ICE and DTLS included.

The switch runs as its own process, the callers in this one: aiortc with packets that were encoded beforehand
and a decoder that only counts, so that the machine can carry them. Each hears a looped bed of sound. CPU is
that of the switch's process over the measured time; packets are those that come back to each caller.

    python bench/webrtc_legs.py [calls [seconds]]
"""

import asyncio
import fractions
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import aioice.ice
import aiortc.rtcrtpreceiver
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import AudioCodecContext, AudioFrame, Packet
from numpy.typing import NDArray

from bench._server import Server, server
from bench.call_legs import speech_like
from softswitch.audio.wav import header

TICK_S = 0.02
WARM_UP_S = 3.0
_OPUS = 96
"""Payload type that aiortc gives Opus."""
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
    encoder = AudioCodecContext.create("libopus", "w")
    encoder.bit_rate, encoder.sample_rate = 32000, 48000
    encoder.format, encoder.layout = "s16", "mono"
    encoder.options = {"application": "voip", "fec": "1", "packet_loss": "5"}
    encoder.time_base = _TIME_BASE
    packets: list[bytes] = []
    for begin in range(0, len(pcm) - 959, 960):
        frame = AudioFrame.from_ndarray(pcm[begin : begin + 960][None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, begin, _TIME_BASE
        packets += [bytes(packet) for packet in encoder.encode(frame)]
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

    async def recv(self) -> Any:
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


def offer_of(connection: RTCPeerConnection) -> str:
    """Return the offer with Opus alone as 111, and with one fingerprint, as browsers write it."""
    lines: list[str] = []
    for line in connection.localDescription.sdp.splitlines():
        name, _, value = line.partition(":")
        if name in {"a=rtpmap", "a=fmtp", "a=rtcp-fb"}:
            if value.startswith(f"{_OPUS} "):
                lines.append(f"{name}:111 {value.partition(' ')[2]}")
        elif line.startswith("m=audio "):
            lines.append(" ".join([*line.split()[:3], "111"]))
        elif not line.startswith(("a=fingerprint:sha-384", "a=fingerprint:sha-512")):
            lines.append(line)
    return "\r\n".join(lines) + "\r\n"


async def call(session: aiohttp.ClientSession, port: int, number: int, vad: str, packets: list[bytes]) -> Any:
    """Set one call up; return its connection, its socket and the time from invite to answer in seconds."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTrack(Microphone(packets, number * 37))
    await connection.setLocalDescription(await connection.createOffer())
    ws = await session.ws_connect(f"http://127.0.0.1:{port}/call/webrtc?id=bench-{number}&dump=false")
    option = {
        "offer": offer_of(connection),
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


async def connected(session: aiohttp.ClientSession, switch: Server, calls: int, vad: str) -> list[Any]:
    """Return callers, as :func:`call` does, once all of them are connected."""
    pcm = np.interp(np.arange(480000) / 3, np.arange(160000), speech_like(10, 1)).astype(np.int16)
    packets = opus_packets(pcm)
    parties = [await call(session, switch.port, number, vad, packets) for number in range(calls)]
    deadline = time.monotonic() + 20
    while any(connection.connectionState != "connected" for connection, _, _ in parties):
        if time.monotonic() > deadline:
            raise TimeoutError("not every call was connected")
        await asyncio.sleep(0.05)
    return parties


async def closed(parties: list[Any]) -> None:
    """End the calls."""
    for connection, ws, *_ in parties:
        await ws.close()
        await connection.close()


def calm_client() -> None:
    """Let aiortc count packets instead of decoding them, and use the loopback alone."""
    vars(aiortc.rtcrtpreceiver)["get_decoder"] = lambda _codec: Counted()
    vars(aioice.ice)["get_host_addresses"] = lambda **_: ["127.0.0.1"]


async def load(switch: Server, calls: int, seconds: float, vad: str) -> str:
    """Run the callers and return the figures as the end of a row."""
    async with aiohttp.ClientSession() as session:
        parties = await connected(session, switch, calls, vad)
        await asyncio.sleep(WARM_UP_S)
        begun, received, start = switch.cpu_seconds(), Counted.packets, time.monotonic()
        await asyncio.sleep(seconds)
        used, wall = switch.cpu_seconds() - begun, time.monotonic() - start
        heard = (Counted.packets - received) / wall / calls
        answers = [took * 1000 for _, _, took in parties]
        memory = resident_mb(switch.pid)
        await closed(parties)
    cost = used / wall / calls * TICK_S * 1e6
    return f"{calls:5} {cost:12.1f} {heard:9.2f} {np.median(answers):11.1f} {max(answers):7.1f} {memory:7.0f}"


def measure(loop: str, vad: str, calls: int, seconds: float) -> str:
    """Return one row of the table."""
    with server(HTTP_LOOP=loop) as switch:
        sounds = switch.data / "sounds"
        sounds.mkdir()
        bed = speech_like(5, 99).tobytes()
        (sounds / "bed.wav").write_bytes(header(16000, 1, len(bed)) + bed)
        return f"{loop:8} {vad:8} " + asyncio.run(load(switch, calls, seconds, vad))


def main() -> None:
    """Print a table."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 15.0
    calm_client()
    columns = f"{'us/leg/20ms':>12} {'packets/s':>9} {'answer p50':>11} {'max ms':>7} {'MB':>7}"
    print(f"{'loop':8} {'vad':8} {'calls':>5} {columns}")
    for loop, vad in (("uvloop", "silero"), ("uvloop", "energy"), ("asyncio", "silero")):
        print(measure(loop, vad, calls, seconds), flush=True)


if __name__ == "__main__":
    main()
