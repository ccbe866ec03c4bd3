"""Measure what a `/call` leg costs the whole process: PCM 16 kHz both ways over loopback WebSockets.

The switch runs as its own process (`python -m softswitch`), the callers in this one: each sends 640 bytes every 20 ms
and hears a looped bed of sound. CPU is that of the switch's process, from /proc, over the measured time.

    python -m bench.call_legs --calls 100 --seconds 15 [--loop asyncio] [--vad silero]
"""

import argparse
import asyncio
import base64
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from softswitch.audio.wav import header

TICK_S = 0.02
RATE = 16000


def speech_like(seconds: float, seed: int) -> np.ndarray:
    """Return bursts of a buzz with gaps, PCM16 at 16 kHz: enough for a detector to have work half of the time."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(RATE * seconds)) / RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * t + rng.uniform(0, 6)) / k for k in range(1, 20))
    gate = (np.sin(2 * np.pi * 0.4 * t + rng.uniform(0, 6)) > 0) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    return (3000 * buzz * gate).astype(np.int16)


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame with a mask of zeros (RFC 6455 §5.3: the payload stays as it is)."""
    length = len(payload)
    head = bytes((0x80 | opcode, 0x80 | length)) if length < 126 else struct.pack("!BBH", 0x80 | opcode, 0xFE, length)
    return head + b"\0\0\0\0" + payload


class Caller(asyncio.Protocol):
    """One caller: shakes hands, invites, then counts what comes."""

    def __init__(self, number: int, vad: str) -> None:
        """Remember who this is."""
        self.number = number
        self.vad = vad
        self.received = 0
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
            f"GET /call?id=bench-{self.number}&dump=false HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
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
                self.received += 1
            self.pending = self.pending[head + length :]


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(port: int, pid: int, calls: int, seconds: float, vad: str) -> dict[str, float]:
    """Run the callers and return the figures."""
    loop = asyncio.get_running_loop()
    callers = []
    for number in range(calls):
        _, caller = await loop.create_connection(lambda number=number: Caller(number, vad), "127.0.0.1", port)
        await caller.up
        callers.append(caller)
    sound = [speech_like(10, seed).tobytes() for seed in range(8)]
    frames = [[masked(2, pcm[at : at + 640]) for at in range(0, len(pcm) - 640, 640)] for pcm in sound]
    start, count = loop.time(), 0
    warm, begun = 3.0, None
    while True:
        part = count % 4
        for caller in callers[part::4]:
            track = frames[caller.number % 8]
            caller.transport.write(track[(count // 4 + caller.number) % len(track)])
        count += 1
        await asyncio.sleep(max(0.0, start + count * TICK_S / 4 - loop.time()))
        elapsed = loop.time() - start
        if begun is None and elapsed > warm:
            begun = cpu_seconds(pid)
            for caller in callers:
                caller.received, caller.gaps = 0, []
        if elapsed > warm + seconds:
            break
    used = cpu_seconds(pid) - begun
    gaps = np.concatenate([caller.gaps for caller in callers]) * 1000
    for caller in callers:
        caller.transport.close()
    return {
        "calls": calls,
        "cpu_us_per_leg_per_20ms": used / seconds / calls * TICK_S * 1e6,
        "core_percent": used / seconds * 100,
        "frames_per_second_per_call": float(np.mean([caller.received for caller in callers]) / seconds),
        "gap_p50_ms": float(np.percentile(gaps, 50)),
        "gap_p99_ms": float(np.percentile(gaps, 99)),
        "gap_max_ms": float(gaps.max()),
    }


def main() -> None:
    """Start a switch, load it, print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--vad", default="silero")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        sounds = Path(folder) / "sounds"
        sounds.mkdir()
        bed = speech_like(5, 99).tobytes()
        (sounds / "bed.wav").write_bytes(header(RATE, 1, len(bed)) + bed)
        environment = {**os.environ, "SOFTSWITCH_HTTP_PORT": str(port), "SOFTSWITCH_PATHS_DATA": folder}
        environment["SOFTSWITCH_LOG_LEVEL"] = "warning"
        environment["SOFTSWITCH_HTTP_LOOP"] = arguments.loop
        process = subprocess.Popen([sys.executable, "-m", "softswitch"], env=environment)
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            figures = asyncio.run(load(port, process.pid, arguments.calls, arguments.seconds, arguments.vad))
            figures["loop"] = arguments.loop
            figures["vad"] = arguments.vad
            print(json.dumps(figures, indent=1))
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    main()
