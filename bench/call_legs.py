"""Measure what a `/call` leg costs the whole process: PCM 16 kHz both ways over loopback WebSockets.

The switch runs as its own process, the callers in this one: each sends 640 bytes every 20 ms and hears a
looped bed of sound. CPU is that of the switch's process over the measured time; in-band DTMF is listened
for, as on every `/call` leg.

    python bench/call_legs.py [calls [seconds]]
"""

import asyncio
import base64
import json
import os
import struct
import sys
import time

import numpy as np

from bench._server import Server, server
from softswitch.audio.wav import header

TICK_S = 0.02
RATE = 16000
WARM_UP_S = 3.0
PARTS = 4
"""The callers send in so many groups, spread over the 20 ms."""


def speech_like(seconds: float, seed: int) -> np.ndarray:
    """Return bursts of a buzz with gaps, PCM16 at 16 kHz: a detector has work half of the time."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(RATE * seconds)) / RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * t + rng.uniform(0, 6)) / k for k in range(1, 20))
    gate = (np.sin(2 * np.pi * 0.4 * t + rng.uniform(0, 6)) > 0) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    return (3000 * buzz * gate).astype(np.int16)


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame with a mask of zeros (RFC 6455 §5.3: the payload stays as it is)."""
    length = len(payload)
    head = (
        bytes((0x80 | opcode, 0x80 | length))
        if length < 126
        else struct.pack("!BBH", 0x80 | opcode, 0xFE, length)
    )
    return head + b"\0\0\0\0" + payload


class Caller(asyncio.Protocol):
    """One caller: shakes hands, invites, then counts what comes."""

    def __init__(self, number: int, vad: str) -> None:
        """Remember who this is."""
        self.number = number
        self.vad = vad
        self.octets = 0
        self.gaps: list[float] = []
        self.last = 0.0
        self.up = asyncio.get_running_loop().create_future()
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /call?id=bench-{self.number}&dump=false HTTP/1.1\r\n"
            "Host: 127.0.0.1\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Count binary frames."""
        self.pending += data
        if not self.up.done():
            head, found, rest = self.pending.partition(b"\r\n\r\n")
            if found:
                assert head.startswith(b"HTTP/1.1 101"), head
                self.pending = rest
                option = {"vad": {"type": self.vad}, "ambiance": {"path": "bed.wav", "normalLevel": 1.0}}
                self.transport.write(masked(1, json.dumps({"command": "invite", "option": option}).encode()))
                self.up.set_result(None)
        while len(self.pending) >= 4:
            length, head = self.pending[1], 2
            if length == 126:
                length, head = struct.unpack_from("!H", self.pending, 2)[0], 4
            if len(self.pending) < head + length:
                return
            if self.pending[0] & 15 == 2:
                now = time.monotonic()
                if self.last:
                    self.gaps.append(now - self.last)
                self.last = now
                self.octets += length
            self.pending = self.pending[head + length :]


async def connected(switch: Server, calls: int, vad: str) -> list[Caller]:
    """Return callers whose calls have begun."""
    loop = asyncio.get_running_loop()
    callers = []
    for number in range(calls):
        _, caller = await loop.create_connection(
            lambda number=number: Caller(number, vad), "127.0.0.1", switch.port
        )
        await caller.up
        callers.append(caller)
    return callers


def spoken_frames() -> list[list[bytes]]:
    """Return the messages of eight voices, 20 ms each."""
    sound = [speech_like(10, seed).tobytes() for seed in range(8)]
    return [[masked(2, pcm[at : at + 640]) for at in range(0, len(pcm) - 640, 640)] for pcm in sound]


async def load(switch: Server, calls: int, seconds: float, vad: str) -> tuple[float, np.ndarray]:
    """Run the callers; return microseconds of CPU per leg and 20 ms, and the gaps between frames in ms."""
    loop = asyncio.get_running_loop()
    callers, frames = await connected(switch, calls, vad), spoken_frames()
    start, count, begun = loop.time(), 0, None
    while (elapsed := loop.time() - start) < WARM_UP_S + seconds:
        if begun is None and elapsed > WARM_UP_S:
            begun = switch.cpu_seconds()
            for caller in callers:
                caller.gaps.clear()
        for caller in callers[count % PARTS :: PARTS]:
            track = frames[caller.number % 8]
            caller.transport.write(track[(count // PARTS + caller.number) % len(track)])
        count += 1
        await asyncio.sleep(max(0.0, start + count * TICK_S / PARTS - loop.time()))
    used = switch.cpu_seconds() - begun
    for caller in callers:
        caller.transport.close()
    return used / seconds / calls * TICK_S * 1e6, np.concatenate([caller.gaps for caller in callers]) * 1000


def measure(loop: str, vad: str, calls: int, seconds: float) -> str:
    """Return one row of the table."""
    with server(HTTP_LOOP=loop) as switch:
        sounds = switch.data / "sounds"
        sounds.mkdir()
        bed = speech_like(5, 99).tobytes()
        (sounds / "bed.wav").write_bytes(header(RATE, 1, len(bed)) + bed)
        cost, gaps = asyncio.run(load(switch, calls, seconds, vad))
    p50, p99 = np.percentile(gaps, (50, 99))
    return f"{loop:8} {vad:8} {calls:5} {cost:12.1f} {p50:9.1f} {p99:9.1f} {gaps.max():9.1f}"


def main() -> None:
    """Print a table."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 15.0
    print(f"{'loop':8} {'vad':8} {'calls':>5} {'us/leg/20ms':>12} {'gap p50':>9} {'p99 ms':>9} {'max ms':>9}")
    for loop, vad in (("uvloop", "energy"), ("uvloop", "silero"), ("asyncio", "energy")):
        print(measure(loop, vad, calls, seconds), flush=True)


if __name__ == "__main__":
    main()
