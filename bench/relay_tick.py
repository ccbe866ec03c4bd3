"""Measure the tick of relayed and mixed G.711 legs with UDP sockets on the loopback, in simulated time.

Engine and telephones are in this process, and time passes by 20 ms a tick whatever the machine does, so that
other work on the machine changes little. Only the CPU time within the engine is counted. Relayed legs get a
relay pass every 5 ms beside the tick, as in production; each quarter of the telephones sends in another one.

    python bench/relay_tick.py [legs ...]
"""

import gc
import socket
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401  (before numpy: it sets the number of BLAS threads)
from softswitch.media import messages as m

try:
    from softswitch.media.engine.engine import Engine
except ImportError:  # a work tree of 87c1b90, which bench/_paired.py compares with
    from softswitch.media.engine import Engine

TICK_S = 0.02
PASSES = 4
"""Parts of a tick: the tick itself and the relay passes after it."""
WARM_UP, MEASURED, ROUNDS = 200, 25, 12
PCMU = m.PayloadFormat("PCMU", 0, 8000)
PAYLOAD = bytes(range(40, 120)) * 2


def bound() -> socket.socket:
    """Return a UDP socket on a free port of the loopback."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.setblocking(False)
    return made


class Calls:
    """An engine with `legs` connected legs and their telephones."""

    def __init__(self, legs: int, *, relays: bool, members: int = 2) -> None:
        """Connect all legs, `members` of them to a call or room."""
        self.engine = Engine(relays=relays)
        # 87c1b90 called it otherwise.
        self._relay_now = getattr(self.engine, "relay_now", None) or self.engine.hurry
        self._passes = PASSES if relays else 1
        self._phones = [bound() for _ in range(legs)]
        self._now, self._tick, self.received = 1000.0, 0, 0
        self._targets = []
        for leg, phone in enumerate(self._phones, 1):
            near = bound()
            self._targets.append(near.getsockname())
            rtp = m.RtpParameters((PCMU,), PCMU, ssrc=1000 + leg, cname=f"leg{leg}")
            self.engine.post(m.AddRtpPort(leg, (leg - 1) // members + 1, rtp))
            self.engine.post(m.ConnectPlain(leg, near.detach(), *phone.getsockname()))

    def run(self, ticks: int) -> float:
        """Let time pass; return the CPU seconds that the engine took."""
        spent = 0.0
        for _ in range(ticks):
            for part in range(self._passes):
                self._send(part)
                work = self._relay_now if part else self.engine.tick
                began = time.process_time()
                work(self._now)
                spent += time.process_time() - began
                self._now += TICK_S / self._passes
            self._tick += 1
            self._drain()
        return spent

    def close(self) -> None:
        """Close all sockets."""
        self.engine.stop()
        for phone in self._phones:
            phone.close()

    def _send(self, part: int) -> None:
        for leg in range(part, len(self._phones), self._passes):
            header = struct.pack(">BBHII", 0x80, 0, self._tick & 0xFFFF, self._tick * 160, leg + 1)
            self._phones[leg].sendto(header + PAYLOAD, self._targets[leg])

    def _drain(self) -> None:
        for phone in self._phones:
            try:
                while phone.recv(2000):
                    self.received += 1
            except BlockingIOError:
                continue


def measure(legs: int, *, relays: bool) -> float:
    """Return the least CPU time of 20 ms per leg over several rounds, in microseconds."""
    calls = Calls(legs, relays=relays)
    gc.collect()
    # As the switch itself does once it is up.
    gc.freeze()
    calls.run(WARM_UP)
    calls.received = 0
    best = min(calls.run(MEASURED) for _ in range(ROUNDS)) / MEASURED
    calls.close()
    if calls.received < 0.98 * legs * MEASURED * ROUNDS:
        raise SystemExit(f"not all was carried: {calls.received} of {legs * MEASURED * ROUNDS} packets")
    return best / legs * 1e6


def main() -> None:
    """Print one line for each number of legs."""
    for legs in map(int, sys.argv[1:] or ["2", "10", "50", "200"]):
        print(f"{legs:5} legs with sockets: relayed {measure(legs, relays=True):.2f} us per leg", end="; ")
        print(f"mixed {measure(legs, relays=False):.2f}", flush=True)


if __name__ == "__main__":
    main()
