"""Measure calls between two codecs: CPU of the engine's process, and the delay that it adds to the sound.

Engine and telephones are two processes, and packets go by UDP over the loopback. Each telephone sends 20 ms
every 20 ms. The first call measures delay: a tone burst now and then, whose beginning is looked for in the
decoded packets that come out. The delay is the moment at which that sound came out less the moment at which
it went in; the look-ahead of an Opus encoder (6.5 ms) is in it. No jitter is added.

    python bench/bridges.py [--before TREE] [--calls 50] [--seconds 12] [--listen] [--simulated] [pair ...]

With --simulated there are no sockets, and time passes by 5 ms a step whatever the machine does: the CPU is
that within the engine, and the delay has no part of the machine's. For a machine that has other work.

A pair is written PCMU-opus. With a work tree of another commit, both are measured in turn (A B A B).
"""

import argparse
import gc
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

if "--engine" not in sys.argv:
    # The engine may be that of another work tree, which PYTHONPATH names.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401, I001  (before numpy: it sets the number of BLAS threads)
import numpy as np

from softswitch.audio.vad import EnergyBank
from softswitch.audio.bank import Bank, bank_for
from softswitch.audio.pcm import Indices, Pcm
from softswitch.media import messages as m

try:
    from bench._machine import sounds as voice
    from softswitch.media.engine.engine import Engine
    from softswitch.media.rtp.formats import CODECS, kind_of
except ImportError:  # a work tree of 87c1b90 (bench/peer_codecs.py), of which only the engine is used
    from softswitch.media.engine import Engine

HERE = Path(__file__).resolve().parent
TICK_S = 0.02
PARTS = 10
"""The telephones send in so many groups, spread over the 20 ms."""
ROUNDS = 4
SIMULATED_PARTS, SIMULATED_ROUNDS = 20, 60
WARM_UP_S = 2.0
BURST_EVERY, BURST_TICKS = 25, 3
PAIRS = ("PCMU-opus", "PCMU-G722", "G722-opus", "PCMU-PCMA", "opus-opus")
FORMATS = {
    "PCMU": m.PayloadFormat("PCMU", 0, 8000),
    "PCMA": m.PayloadFormat("PCMA", 8, 8000),
    "G722": m.PayloadFormat("G722", 9, 8000),
    "opus": m.PayloadFormat("opus", 111, 48000),
}


def engine_process(pair: str, *, listen: bool) -> None:
    """Run the engine; each line on the standard input is answered with its CPU seconds."""
    engine = Engine(vads={"energy": EnergyBank})
    engine.start(lambda output: None)
    ports = []
    for leg, far_port in enumerate(json.loads(sys.stdin.readline())):
        near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        near.bind(("127.0.0.1", 0))
        ports.append(near.getsockname()[1])
        spoken = FORMATS[pair.split("-")[leg % 2]]
        rtp = m.RtpParameters((spoken,), spoken, ssrc=leg + 1, cname=f"leg{leg}")
        engine.post(m.AddRtpPort(leg + 1, leg // 2 + 1, rtp))
        engine.post(m.ConnectPlain(leg + 1, near.detach(), "127.0.0.1", far_port))
        if listen:
            engine.post(m.SetVad(leg + 1, "energy"))
    print(json.dumps(ports), flush=True)
    gc.collect()
    gc.freeze()
    for _ in sys.stdin:
        print(time.process_time(), engine.relaying, engine.counters["step_errors"], flush=True)
    engine.stop()


class Simulated:
    """An engine that this process drives without sockets, and its telephones."""

    def __init__(self, pair: str, calls: int, *, listen: bool) -> None:
        """Connect all legs."""
        self.engine = Engine(vads={"energy": EnergyBank})
        self.ears = Ears(pair)
        self._names = [pair.split("-")[leg % 2] for leg in range(2 * calls)]
        self._payloads = {name: sounds(name) for name in set(self._names)}
        self._voices = {name: speech(name) for name in set(self._names)}
        self._now, self._step = 1000.0, 0
        for leg, name in enumerate(self._names):
            spoken = FORMATS[name]
            rtp = m.RtpParameters((spoken,), spoken, ssrc=leg + 1, cname=f"leg{leg}")
            self.engine.post(m.AddRtpPort(leg + 1, leg // 2 + 1, rtp))
            self.engine.post(m.ConnectPlain(leg + 1, -1, "127.0.0.1", 9))
            if listen:
                self.engine.post(m.SetVad(leg + 1, "energy"))

    def run(self, ticks: int) -> float:
        """Let time pass; return the CPU seconds of the engine."""
        spent = 0.0
        for _ in range(ticks * SIMULATED_PARTS):
            self._send()
            if self._step % (SIMULATED_PARTS // 4) == 0:
                is_tick = self._step % SIMULATED_PARTS == 0
                if is_tick or self.engine.relaying:
                    began = time.process_time()
                    output = (self.engine.tick if is_tick else self.engine.relay_now)(self._now)
                    spent += time.process_time() - began
                    for port, data in output.datagrams:
                        if port <= 2 and not 192 <= data[1] <= 223:
                            self.ears.listen(port - 1, data[12:], self._now)
            self._step += 1
            self._now += TICK_S / SIMULATED_PARTS
        return spent

    def _send(self) -> None:
        tick, part = divmod(self._step, SIMULATED_PARTS)
        # The phases of the telephones drift against the switch's tick: packets come every 20.02 ms.
        for leg, name in enumerate(self._names):
            if (5 * leg + tick // 50) % SIMULATED_PARTS == part:
                form, index = FORMATS[name], tick % BURST_EVERY
                head = struct.pack(
                    ">BBHII", 0x80, form.payload_type, tick & 0xFFFF, tick * form.clock_rate // 50, leg
                )
                if leg < 2 and index == 0:
                    self.ears.sent_at[leg] = self._now
                payload = self._payloads[name][index] if leg < 2 else self._voices[name][(tick + leg) % 50]
                self.engine.deliver(leg + 1, head + payload)


def simulated_process(pair: str, calls: int, *, listen: bool) -> None:
    """Answer each number of ticks on the standard input with the CPU seconds, an empty line with delays."""
    simulated = Simulated(pair, calls, listen=listen)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        if line.strip() == "delays":
            print(json.dumps(simulated.ears.delays), simulated.engine.relaying, flush=True)
        else:
            print(simulated.run(int(line)), flush=True)


def sounds(name: str) -> list[bytes]:
    """Return the payloads of one period: silence, and a burst of 1 kHz that begins with a packet."""
    codec = CODECS[kind_of(name) or 0]
    bank, slot = bank_for(codec, 1), np.zeros(1, np.intp)
    tone = 9000 * np.sin(2 * np.pi * 1000 * np.arange(BURST_TICKS * codec.samples(20)) / codec.sample_rate)
    line = np.zeros(BURST_EVERY * codec.samples(20), np.float32)
    line[: len(tone)] = tone
    payloads = []
    for _ in range(2):
        for frame in line.reshape(BURST_EVERY, 1, -1):
            coded, lengths = bank.encode(frame.astype(np.float32), slot)
            payloads.append(coded[0, : int(lengths[0])].tobytes())
    return payloads[BURST_EVERY:]


def speech(name: str) -> list[bytes]:
    """Return a second of something like speech, as all calls but the first one say it."""
    return voice({"PCMU": "mixed", "G722": "g722", "opus": "opus"}.get(name, "mixed"))


def onset_ms(name: str, payloads: list[bytes]) -> float:
    """Return when a burst begins in the first packets that hold it, when a telephone decodes them."""
    codec = CODECS[kind_of(name) or 0]
    bank, slot = bank_for(codec, 1), np.zeros(1, np.intp)
    line = [_decoded(bank, payload, slot) for payload in payloads[-3:] + payloads[:3]]
    return _loud(np.concatenate(line)) / codec.sample_rate * 1000 - 60


def _decoded(bank: Bank, payload: bytes, slot: Indices) -> Pcm:
    return bank.decode(np.frombuffer(payload, np.uint8)[None], np.array([len(payload)]), slot)[0][0]


def _loud(pcm: Pcm) -> int:
    """Return the first sample of a burst, or -1."""
    loud = np.flatnonzero(np.abs(pcm) > 2500)
    return int(loud[0]) if len(loud) else -1


class Ears:
    """The telephones of the first call, which listen for bursts."""

    def __init__(self, pair: str) -> None:
        """Make their decoders."""
        self._names = pair.split("-")
        self._onset = [onset_ms(name, sounds(name)) for name in self._names]
        self._banks = [bank_for(CODECS[kind_of(name) or 0], 1) for name in self._names]
        self._quiet = [True, True]
        self.sent_at = [0.0, 0.0]
        """Seconds at which each sent the packet in which its last burst begins."""
        self.delays: tuple[list[float], list[float]] = [], []
        """Milliseconds, of bursts of the first telephone and of the second one."""

    def listen(self, leg: int, payload: bytes, now: float) -> None:
        """Look for the beginning of a burst in a packet that came to a telephone."""
        pcm = _decoded(self._banks[leg], payload, np.zeros(1, np.intp))
        at = _loud(pcm)
        if at >= 0 and self._quiet[leg]:
            rate = CODECS[kind_of(self._names[leg]) or 0].sample_rate
            sent = self.sent_at[1 - leg] * 1000 + self._onset[1 - leg]
            self.delays[1 - leg].append(now * 1000 + at / rate * 1000 - sent)
        self._quiet[leg] = at < 0


class Telephones:
    """The remote parties of all calls; two legs are one call."""

    def __init__(self, pair: str, calls: int) -> None:
        """Bind their sockets."""
        self.names = [pair.split("-")[leg % 2] for leg in range(2 * calls)]
        self.payloads = {name: sounds(name) for name in set(self.names)}
        self.voices = {name: speech(name) for name in set(self.names)}
        self.ears = Ears(pair)
        self.sockets: list[socket.socket] = []
        self.received = 0
        """Packets that came with the payload type of their telephone."""
        self.octets = [0, 0]
        """Octets of their payloads, to the first telephones and to the second ones."""
        self._types = [FORMATS[name].payload_type for name in self.names]
        self._count = 0
        self._epoll, self._of = select.epoll(), {}
        for leg in range(2 * calls):
            far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            far.bind(("127.0.0.1", 0))
            far.setblocking(False)
            self.sockets.append(far)
            self._epoll.register(far.fileno(), select.EPOLLIN)
            self._of[far.fileno()] = leg

    def forget(self) -> None:
        """Begin to count packets and to collect delays."""
        self.received, self.octets = 0, [0, 0]
        for part in self.ears.delays:
            part.clear()

    def talk(self, ports: list[int], seconds: float) -> None:
        """Send and receive for a while."""
        began, first = time.monotonic(), self._count
        while (done := self._count - first) < seconds / TICK_S * PARTS:
            tick, part = divmod(self._count, PARTS)
            for leg in range(len(ports)):
                # A leg's phase drifts against the switch's tick, so that every phase is measured.
                if (leg + tick // 7) % PARTS == part:
                    self._send(leg, tick, ports[leg])
            self._count += 1
            until = began + (done + 1) * TICK_S / PARTS
            self._drain(0.0)
            while (left := until - time.monotonic()) > 0:
                self._drain(left)

    def _send(self, leg: int, tick: int, port: int) -> None:
        name = self.names[leg]
        form, index = FORMATS[name], tick % BURST_EVERY
        head = struct.pack(
            ">BBHII", 0x80, form.payload_type, tick & 0xFFFF, tick * form.clock_rate // 50, 9000 + leg
        )
        if leg < 2 and index == 0:
            self.ears.sent_at[leg] = time.monotonic()
        payload = self.payloads[name][index] if leg < 2 else self.voices[name][(tick + leg) % 50]
        self.sockets[leg].sendto(head + payload, ("127.0.0.1", port))

    def _drain(self, wait: float) -> None:
        for fd, _ in self._epoll.poll(wait, 4096):
            leg = self._of[fd]
            data, now = self.sockets[leg].recv(2000), time.monotonic()
            if 192 <= data[1] <= 223 or data[1] & 0x7F != self._types[leg]:
                continue
            self.received += 1
            self.octets[leg & 1] += len(data) - 12
            if leg < 2:
                self.ears.listen(leg, data[12:], now)


class Bridge:
    """One tree's engine with its telephones."""

    def __init__(self, tree: Path, pair: str, calls: int, *, listen: bool) -> None:
        """Start the engine."""
        command = [
            sys.executable,
            str(HERE / "bridges.py"),
            "--engine",
            pair,
            *(["--listen"] if listen else []),
        ]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree)},
        )  # fmt: skip
        self.telephones = Telephones(pair, calls)
        self.costs: list[float] = []
        self.carried: list[float] = []
        ports = [far.getsockname()[1] for far in self.telephones.sockets]
        self._ports = json.loads(self._ask(json.dumps(ports)))
        self._calls = calls

    def run(self, seconds: float, *, counts: bool = True) -> None:
        """Talk for a while, and note the CPU."""
        before = self._ask("?").split()
        self.telephones.received = 0
        if not counts:
            self.telephones.forget()
        self.telephones.talk(self._ports, seconds)
        after = self._ask("?").split()
        self.relaying = int(after[1])
        if int(after[2]):
            raise SystemExit(f"{after[2]} errors in the engine")
        if counts:
            self.carried.append(self.telephones.received / (2 * self._calls * seconds / TICK_S))
            self.costs.append((float(after[0]) - float(before[0])) / seconds * TICK_S / self._calls * 1e6)

    def close(self) -> str:
        """End the engine; return a row of the table."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()
        row = f"{median(self.costs):9.1f}"
        for delays in self.telephones.ears.delays:
            row += _percentiles(delays)
        return row + f" {100 * min(self.carried):9.0f} {self.relaying:9}"

    def _ask(self, line: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        print(line, file=self.process.stdin, flush=True)
        return self.process.stdout.readline()


def _percentiles(delays: list[float]) -> str:
    # Bursts that were lost, or met the end of a round, tell nothing.
    p50, p95 = np.percentile([delay for delay in delays if -20 < delay < 250] or [-1], (50, 95))
    return f" {p50:7.1f} {p95:6.1f}"


def simulate(trees: dict[str, Path], pair: str, calls: int, *, listen: bool) -> None:
    """Print the rows of a pair in simulated time: short rounds of all trees in turn."""
    processes = {
        name: subprocess.Popen(
            [sys.executable, str(HERE / "bridges.py"), "--engine", "--simulated", "--calls", str(calls), pair,
             *(["--listen"] if listen else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree)},
        )
        for name, tree in trees.items()
    }  # fmt: skip

    def ask(name: str, line: str) -> str:
        process = processes[name]
        assert process.stdin
        assert process.stdout
        print(line, file=process.stdin, flush=True)
        return process.stdout.readline()

    costs: dict[str, list[float]] = {name: [] for name in trees}
    for name in trees:
        ask(name, "100")
    for _ in range(SIMULATED_ROUNDS):
        for name in trees:
            costs[name].append(float(ask(name, "10")) / 10 / calls * 1e6)
    ratios = [after / before for before, after in zip(*costs.values(), strict=True)] if len(trees) > 1 else []
    for name, process in processes.items():
        delays, relaying = ask(name, "delays").rsplit(maxsplit=1)
        row = f"{pair:12} {name:7} {min(costs[name]):9.1f}"
        row += "".join(_percentiles(part) for part in json.loads(delays))
        ratio = f"  ratio {median(ratios):.2f}" if ratios and name == "after" else ""
        print(f"{row} {100:9} {relaying:>9}{ratio}", flush=True)
        assert process.stdin
        process.stdin.close()
        process.wait()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--before", type=Path, help="work tree of another commit")
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=12.0, help="of all rounds of one tree")
    parser.add_argument("--listen", action="store_true", help="with speech detection on both legs")
    parser.add_argument("--simulated", action="store_true", help="in simulated time, without sockets")
    parser.add_argument("--engine", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("pairs", nargs="*", default=PAIRS)
    options = parser.parse_args()
    if options.engine and options.simulated:
        simulated_process(options.pairs[0], options.calls, listen=options.listen)
        return
    if options.engine:
        engine_process(options.pairs[0], listen=options.listen)
        return
    trees = {"after": HERE.parent}
    if options.before:
        trees = {"before": options.before.resolve()} | trees
    print(
        "us: CPU of the engine per call and 20 ms; delay in ms, from the first codec to the second and back;"
    )
    print("carried: percent of the packets that came, in the worst round; a busy machine loses some")
    print(
        f"{'pair':12} {'tree':7} {'us':>9} {'p50':>7} {'p95':>6} {'p50':>7} {'p95':>6}"
        f" {'carried':>9} {'relaying':>9}"
    )
    for pair in options.pairs:
        if options.simulated:
            simulate(trees, pair, options.calls, listen=options.listen)
            continue
        bridges = {
            name: Bridge(tree, pair, options.calls, listen=options.listen) for name, tree in trees.items()
        }
        for bridge in bridges.values():
            bridge.run(WARM_UP_S, counts=False)
        for _ in range(ROUNDS):
            for bridge in bridges.values():
                bridge.run(options.seconds / ROUNDS)
        for name, bridge in bridges.items():
            print(f"{pair:12} {name:7} {bridge.close()}", flush=True)


if __name__ == "__main__":
    main()
