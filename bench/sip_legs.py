"""Measure what a G.711 leg of a telephone costs: UDP sockets on the loopback, through the production engine.

The engine ticks in a process of its own; the telephones are in this one. Each sends a packet every 20 ms and
notes, by the kernel's clock, when packets come. CPU is that of the engine's whole process.

    python bench/sip_legs.py [legs [seconds [setup ...]]]
"""

import gc
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

if "--engine" not in sys.argv:
    # The engine may be that of another work tree, which PYTHONPATH names.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401, I001  (before numpy: it sets the number of BLAS threads)
import numpy as np

from softswitch.audio.vad import EnergyBank
from softswitch.media import messages as m

try:
    from softswitch.media.engine.engine import Engine
except ImportError:  # a work tree of 87c1b90, which bench/peer_relay.py compares with
    from softswitch.media.engine import Engine

TICK_S = 0.02
PARTS = 20
"""The telephones send in so many groups, spread over the 20 ms."""
WARM_UP_S, ROUND_S = 3.0, 1.0
STAMP = struct.Struct("qq")
SO_TIMESTAMPNS = 35
SETUPS = {
    "relayed": "two to a call, no listener",
    "relayed+vad": "two to a call, speech and tones are listened for",
    "mixed": "two to a call, all through the bus: decoded, mixed, encoded",
    "rooms of 4": "four to a mix, each hears the other three",
    "one room": "all in one mix, each hears all others",
}


def engine_process(setup: str, legs: int) -> None:
    """Run the engine with its sockets; figures are asked for by lines on the standard input."""
    in_mix = {"rooms of 4": 4, "one room": legs}.get(setup, 2)
    engine = Engine(vads={"energy": EnergyBank}, relays=setup != "mixed")
    engine.start(lambda output: None)
    before = _resident()
    pcmu = m.PayloadFormat("PCMU", 0, 8000)
    ports = []
    far = json.loads(sys.stdin.readline())
    for leg, far_port in enumerate(far, 1):
        near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        near.bind(("127.0.0.1", 0))
        ports.append(near.getsockname()[1])
        rtp = m.RtpParameters((pcmu,), pcmu, ssrc=leg, cname=f"leg{leg}")
        engine.post(m.AddRtpPort(leg, (leg - 1) // in_mix + 1, rtp))
        engine.post(m.ConnectPlain(leg, near.detach(), "127.0.0.1", far_port))
        if setup == "relayed+vad":
            engine.post(m.SetVad(leg, "energy"))
            engine.post(m.SetInbandDtmf(leg, True))
    print(json.dumps(ports), flush=True)
    gc.collect()
    gc.freeze()
    for _ in sys.stdin:
        figures = {
            "cpu": time.process_time(),
            "memory": (_resident() - before) / legs,
            "relaying": engine.relaying,
            **engine.counters,
        }
        print(json.dumps(figures), flush=True)
    engine.stop()


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


class Telephones:
    """The remote parties of all legs."""

    def __init__(self, legs: int) -> None:
        """Bind their sockets."""
        self.sockets: list[socket.socket] = []
        self._epoll = select.epoll()
        self._of: dict[int, int] = {}
        self.last = [0.0] * legs
        self.gaps: list[float] = []
        self.received = 0
        self._sent = 0
        for leg in range(legs):
            far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            far.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            far.bind(("127.0.0.1", 0))
            far.setblocking(False)
            self.sockets.append(far)
            self._epoll.register(far.fileno(), select.EPOLLIN)
            self._of[far.fileno()] = leg

    def forget(self) -> None:
        """Begin to count packets and to collect gaps."""
        self.received = 0
        self.gaps.clear()

    def talk(self, ports: list[int], seconds: float) -> None:
        """Send and receive for a while."""
        legs = len(ports)
        payload = bytes(range(40, 120)) * 2
        began, first = time.monotonic(), self._sent
        while (done := (self._sent - first)) < seconds / TICK_S * PARTS:
            tick, part = divmod(self._sent, PARTS)
            for leg in range(part, legs, PARTS):
                head = struct.pack(">BBHII", 0x80, 0, tick & 0xFFFF, tick * 160, 9000 + leg)
                self.sockets[leg].sendto(head + payload, ("127.0.0.1", ports[leg]))
            self._sent += 1
            self._drain()
            time.sleep(max(0.0, began + (done + 1) * TICK_S / PARTS - time.monotonic()))

    def _drain(self) -> None:
        while events := self._epoll.poll(0, 4096):
            for fd, _ in events:
                leg = self._of[fd]
                data, notes, _, _ = self.sockets[leg].recvmsg(2000, 64)
                if 192 <= data[1] <= 223:
                    continue
                seconds, nanoseconds = STAMP.unpack(notes[0][2])
                now = seconds + nanoseconds * 1e-9
                if self.last[leg]:
                    self.gaps.append(now - self.last[leg])
                self.last[leg] = now
                self.received += 1


def rounds(process: subprocess.Popen[str], legs: int, seconds: float) -> Iterator[str]:
    """Let the telephones talk; yield what is to be printed."""

    def figures() -> dict[str, float]:
        assert process.stdin
        assert process.stdout
        print("?", file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())

    assert process.stdin
    assert process.stdout
    telephones = Telephones(legs)
    print(json.dumps([far.getsockname()[1] for far in telephones.sockets]), file=process.stdin, flush=True)
    ports = json.loads(process.stdout.readline())
    telephones.talk(ports, WARM_UP_S)
    telephones.forget()
    start = before = figures()
    costs = []
    for _ in range(round(seconds / ROUND_S)):
        telephones.talk(ports, ROUND_S)
        now = figures()
        costs.append((now["cpu"] - before["cpu"]) / ROUND_S / legs * TICK_S * 1e6)
        before = now
    expected = legs * seconds / TICK_S
    if telephones.received < 0.98 * expected or before["step_errors"] or before["port_failures"]:
        raise SystemExit(f"not all was carried: {telephones.received} of {expected:.0f}; {before}")
    p50, p99 = np.percentile(np.array(telephones.gaps) * 1000, (50, 99))
    late = before["late_ticks"] - start["late_ticks"]
    longest = max(telephones.gaps) * 1000
    yield f"{min(costs):8.1f} {np.median(costs):8.1f} {p50:9.1f} {p99:9.1f} {longest:9.1f}"
    yield f" {late:9.0f} {before['memory'] / 1e6:8.2f} {before['relaying']:9.0f}"


def measure(setup: str, legs: int, seconds: float) -> str:
    """Return one row of the table."""
    command = [sys.executable, __file__, "--engine", setup, str(legs)]
    tree = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=tree
    ) as process:
        try:
            row = "".join(rounds(process, legs, seconds))
        finally:
            if process.stdin:
                process.stdin.close()
    return f"{setup:12} {legs:5}" + row


def main() -> None:
    """Print a table."""
    if sys.argv[1:2] == ["--engine"]:
        engine_process(sys.argv[2], int(sys.argv[3]))
        return
    legs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    print("CPU in us per leg and 20 ms: the best second and the median one. Gaps between packets in ms.")
    columns = ("best", 8), ("median", 8), ("gap p50", 9), ("p99", 9), ("max", 9), ("late", 9), ("MB/leg", 8)
    print(
        f"{'setup':12} {'legs':>5} " + " ".join(f"{name:>{width}}" for name, width in columns) + "  relaying"
    )
    for setup in sys.argv[3:] or SETUPS:
        print(measure(setup, legs // 2 if setup == "one room" else legs, seconds), flush=True)
    for setup, what in SETUPS.items():
        print(f"{setup:12} {what}")


if __name__ == "__main__":
    main()
