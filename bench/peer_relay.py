"""Relay G.711 legs through rtpengine (userspace) and through the production engine, in turn on one machine.

Both carry the same packets of the same telephones: UDP on the loopback, two legs to a call, a packet every
20 ms. CPU is that of the whole process, user and system. Without rtpengine (a Debian package) its rows are
left out.

    python bench/peer_relay.py [legs [seconds [rounds [BEFORE]]]]

BEFORE is a work tree of another commit, which is measured in turn with the others.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Protocol, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.bridges import FORMATS
from bench.idle import spent_s
from bench.sip_legs import TICK_S, WARM_UP_S, Telephones

FIRST_PORT = 30000
Make = TypeVar("Make")
"""Makes what is measured."""
FIRST_DYNAMIC = 96
"""Least payload type that an SDP must name (RFC 3551, section 6)."""


def encoded(value: object) -> bytes:
    """Return a value of the NG protocol in bencode."""
    match value:
        case str():
            return b"%d:%s" % (len(value.encode()), value.encode())
        case list():
            return b"l" + b"".join(map(encoded, value)) + b"e"
        case dict():
            return b"d" + b"".join(encoded(key) + encoded(one) for key, one in sorted(value.items())) + b"e"
    raise TypeError(value)


class RtpEngine:
    """A relay in a process of its own, with one thread as the switch's engine has."""

    def __init__(self, folder: str, pair: str = "PCMU-PCMU") -> None:
        """Start it, and wait until it answers.

        Args:
            folder: Where it may write.
            pair: Codecs of the two telephones of each call.
        """
        self._pair = pair.split("-")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.control: tuple[str, int] = free.getsockname()
            """Address at which it takes commands."""
        program = shutil.which("rtpengine", path=os.environ["PATH"] + ":/usr/sbin:/usr/bin")
        if program is None:
            raise FileNotFoundError("rtpengine")
        self.process = subprocess.Popen(
            [
                program, "--foreground", "--log-stderr", "--log-level=1", "--table=-1",
                "--interface=127.0.0.1",
                f"--listen-ng=127.0.0.1:{self.control[1]}", f"--port-min={FIRST_PORT}", "--port-max=60000",
                "--num-threads=1", f"--pidfile={folder}/pid", "--config-file=none",
            ],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._asker.settimeout(1.0)
        self._number = 0
        deadline = time.monotonic() + 10
        while b"pong" not in self._ask({"command": "ping"}):
            if time.monotonic() > deadline:
                raise SystemExit("rtpengine does not answer")

    def connect(self, far: list[int]) -> list[int]:
        """Make a call of each two telephones; return the port to which each is to send."""
        near = [0] * len(far)
        # rtpengine chooses the number of a dynamic payload type that it offers, but telephones send a fixed
        # one: the telephone with a dynamic payload type is the caller, so that it is the one that offers.
        caller = int(FORMATS[self._pair[1]].payload_type >= FIRST_DYNAMIC)
        callee = 1 - caller
        codec = {"mask": [self._pair[caller]], "transcode": [self._pair[callee]]}
        for leg in range(0, len(far), 2):
            call: dict[str, object] = {
                "call-id": f"call{leg}",
                "from-tag": "a",
                "replace": ["origin"],
                "ICE": "remove",
            }
            offer = call | {"command": "offer", "sdp": self._sdp(far[leg + caller], caller)}
            if self._pair[0] != self._pair[1]:
                offer["codec"] = codec
            near[leg + callee] = self._port(self._ask(offer), callee)
            answer = call | {"command": "answer", "to-tag": "b", "sdp": self._sdp(far[leg + callee], callee)}
            near[leg + caller] = self._port(self._ask(answer), caller)
        return near

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has taken."""
        return spent_s(self.process.pid)

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)
        self._asker.close()

    def _ask(self, request: dict[str, object]) -> bytes:
        self._number += 1
        self._asker.sendto(b"%d " % self._number + encoded(request), self.control)
        try:
            return self._asker.recv(65536)
        except OSError:
            time.sleep(0.1)
            return b""

    def _sdp(self, port: int, side: int) -> str:
        spoken = FORMATS[self._pair[side]]
        channels = "/2" if spoken.name == "opus" else ""
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP {spoken.payload_type}\r\n"
            f"a=rtpmap:{spoken.payload_type} {spoken.name}/{spoken.clock_rate}{channels}\r\n"
        )

    def _port(self, reply: bytes, side: int) -> int:
        """Return the port in the SDP of a reply, which is for one of the telephones.

        Raises:
            SystemExit: It holds other payload types than that of the telephone.
        """
        port, _, *types = reply.partition(b"m=audio ")[2].partition(b"\r\n")[0].split() or (b"", b"")
        if types != [b"%d" % FORMATS[self._pair[side]].payload_type]:
            raise SystemExit(f"rtpengine does not offer or answer {self._pair[side]} alone: {reply!r}")
        return int(port)


class Switch:
    """The switch's engine in a process of its own."""

    def __init__(self, tree: Path, bench: str, *setup: str) -> None:
        """Start the engine of a work tree as a bench sets it up: `sip_legs.py`, or `bridges.py`."""
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(bench)), "--engine", *setup],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree)},
        )  # fmt: skip

    def connect(self, far: list[int]) -> list[int]:
        """Connect the telephones; return the port to which each is to send."""
        assert self.process.stdin
        assert self.process.stdout
        print(far, file=self.process.stdin, flush=True)
        return [int(port) for port in self.process.stdout.readline().strip("[]\n").split(",")]

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has taken."""
        return spent_s(self.process.pid)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(10)


class Relay(Protocol):
    """What carries the packets of telephones in a process of its own: a peer, or the engine of the switch."""

    def connect(self, far: list[int]) -> list[int]:
        """Connect the telephones; return the port to which each is to send."""
        ...

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has taken."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Phones(Protocol):
    """The remote parties of all legs."""

    sockets: list[socket.socket]
    received: int

    def talk(self, ports: list[int], seconds: float) -> None:
        """Send and receive for a while."""
        ...

    def forget(self) -> None:
        """Begin to count."""
        ...


def measure(relay: Relay, telephones: Phones, seconds: float) -> tuple[float, float]:
    """Return CPU in microseconds per leg and 20 ms, and the share of packets that came."""
    legs = len(telephones.sockets)
    try:
        ports = relay.connect([far.getsockname()[1] for far in telephones.sockets])
        telephones.talk(ports, WARM_UP_S)
        telephones.forget()
        before = relay.cpu_s()
        telephones.talk(ports, seconds)
        cost = (relay.cpu_s() - before) / seconds / legs * TICK_S * 1e6
        return cost, telephones.received / (legs * seconds / TICK_S)
    finally:
        relay.close()
        for far in telephones.sockets:
            far.close()


def wanted() -> tuple[int, float, int, dict[str, Path]]:
    """Return legs, seconds, rounds and work trees by name, as the command line has them."""
    legs = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 6.0
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    trees = {"softswitch": Path(__file__).resolve().parent.parent}
    if len(sys.argv) > 4:
        trees["before"] = Path(sys.argv[4]).resolve()
    return legs, seconds, rounds, trees


def in_turn(
    kinds: dict[str, Make], rounds: int, one: Callable[[Make], tuple[float, float]]
) -> dict[str, list[tuple[float, float]]]:
    """Measure each kind once a round; return the cost and the share that came of all rounds, by name.

    Args:
        kinds: what makes each, by name; one whose program is not installed is left out.
        rounds: number of rounds.
        one: measures what is made.
    """
    left = dict(kinds)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, make in list(left.items()):
            try:
                found[name].append(one(make))
            except FileNotFoundError as error:
                print(f"{error} is not installed: no row of {name}", flush=True)
                del left[name]
    return found


def main() -> None:
    """Print one row for each, the median of the rounds."""
    legs, seconds, rounds, trees = wanted()
    with tempfile.TemporaryDirectory() as folder:
        kinds: dict[str, Callable[[], Relay]] = {
            **{
                name: partial(Switch, tree, "sip_legs.py", "relayed", str(legs))
                for name, tree in trees.items()
            },
            "rtpengine": lambda: RtpEngine(folder),
        }
        found = in_turn(kinds, rounds, lambda make: measure(make(), Telephones(legs), seconds))
    print(f"{legs} relayed legs: us of CPU per leg and 20 ms, median (least), packets that came")
    for name, rows in found.items():
        if rows:
            costs = [cost for cost, _ in rows]
            came = min(share for _, share in rows)
            print(f"{name:12} {median(costs):6.2f} ({min(costs):.2f})  {came:7.2%}", flush=True)


if __name__ == "__main__":
    main()
