"""Record calls on one core: what telephones hear meanwhile, as gaps between packets, and what that costs.

The engine and what it starts are bound to one core, the telephones to another. Every leg is recorded, through
the bus, as WAV, as Opus and not at all, in turn (A B C A B C). With `--tree` the engine of another tree is
measured by the same telephones, so that two states can be told apart in one run.

    python bench/recordings.py [--legs 100] [--seconds 15] [--rounds 2] [--tree PATH ...]
"""

import argparse
import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, os.environ.get("BENCH_TREE", str(Path(__file__).resolve().parent.parent)))

import softswitch  # noqa: F401, I001  (before numpy: it sets the number of BLAS threads)
import numpy as np

from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine

HERE = Path(__file__).resolve().parent
WAYS = ("none", "wav", "opus")
WARM_UP_S = 3.0


def engine_process(way: str, legs: int, folder: str) -> None:
    """Run the engine with its sockets; figures are asked for by lines on the standard input."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sys.setswitchinterval(0.0001)
    engine = Engine(relays=False)
    closed: list[m.RecorderClosed] = []
    done = threading.Event()

    def emit(output: m.Output) -> None:
        closed.extend(report for report in output.reports if isinstance(report, m.RecorderClosed))
        if len(closed) == legs:
            done.set()

    engine.start(emit)
    pcmu = m.PayloadFormat("PCMU", 0, 8000)
    far, ports = json.loads(sys.stdin.readline()), []
    for leg, far_port in enumerate(far, 1):
        near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        near.bind(("127.0.0.1", 0))
        ports.append(near.getsockname()[1])
        rtp = m.RtpParameters((pcmu,), pcmu, ssrc=leg, cname=f"leg{leg}")
        engine.post(m.AddRtpPort(leg, (leg - 1) // 2 + 1, rtp))
        engine.post(m.ConnectPlain(leg, near.detach(), "127.0.0.1", far_port))
        if way != "none":
            path = f"{folder}/{leg}.{way}"
            engine.post(m.StartRecorder(100_000 + leg, leg, path, 16000, "opus" if way == "opus" else "wav"))
    print(json.dumps(ports), flush=True)
    gc.collect()
    gc.freeze()
    for _ in sys.stdin:
        # The processes that it started count as well.
        print(
            json.dumps({"cpu": time.process_time(), "encoder": _children_cpu(), **engine.counters}),
            flush=True,
        )
    began = time.monotonic()
    if way != "none":
        for leg in range(1, legs + 1):
            engine.post(m.StopRecorder(100_000 + leg))
        done.wait(60)
    took = time.monotonic() - began
    engine.stop()
    wrong = [report.error for report in closed if report.error]
    durations = [report.duration_ms for report in closed]
    print(json.dumps({"took": took, "wrong": wrong, "durations": durations}), flush=True)


def _children_cpu() -> float:
    total, mine = 0.0, str(os.getpid())
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[1] == mine:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def measure(tree: Path, way: str, legs: int, seconds: float) -> str:
    """Return a line of the table."""
    from bench.sip_legs import Telephones  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, __file__, "--engine", way, str(legs), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tree,
            env=os.environ | {"BENCH_TREE": str(tree), "PYTHONPATH": str(tree)},
        )
        assert process.stdin
        assert process.stdout

        def figures() -> dict[str, float]:
            print("?", file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        telephones = Telephones(legs)
        print(
            json.dumps([far.getsockname()[1] for far in telephones.sockets]), file=process.stdin, flush=True
        )
        ports = json.loads(process.stdout.readline())
        telephones.talk(ports, WARM_UP_S)
        telephones.gaps.clear()
        telephones.received = 0
        before = figures()
        telephones.talk(ports, seconds)
        after = figures()
        received = telephones.received
        gaps = np.array(telephones.gaps) * 1000
        process.stdin.close()
        end = json.loads(process.stdout.readline())
        process.wait(30)
        for far in telephones.sockets:
            far.close()
    p50, p99 = np.percentile(gaps, (50, 99))
    lost = max(0.0, 100 * (1 - received / (legs * seconds * 50)))
    wrong = f"; {len(end['wrong'])} with errors: {end['wrong'][0]}" if end["wrong"] else ""
    spread = f"{min(end['durations'])}-{max(end['durations'])} ms" if end["durations"] else "-"
    cpu = (after["cpu"] - before["cpu"]) / seconds * 100
    late, jumped = (after[name] - before[name] for name in ("late_ticks", "jumped_ticks"))
    encoder = (after["encoder"] - before["encoder"]) / seconds * 100
    return (
        f"{way:5} {cpu:5.0f} % {encoder:6.0f} % {lost:7.2f} % {p50:7.1f} {p99:7.1f} {gaps.max():7.0f}"
        f" {late:6.0f} {jumped:6.0f}"
        f"   {end['took']:.1f} s, {spread}{wrong}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--legs", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ways", nargs="*", default=WAYS)
    parser.add_argument("--tree", type=Path, action="append", default=[])
    parser.add_argument("--engine", nargs=3)
    arguments = parser.parse_args()
    if arguments.engine:
        way, legs, folder = arguments.engine
        engine_process(way, int(legs), folder)
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{arguments.legs} legs, all recorded, engine and encoder on one core; gaps in ms")
    print("way    engine encoder     lost     p50     p99     max   late jumped   until complete, durations")
    for _ in range(arguments.rounds):
        for tree in (*arguments.tree, HERE.parent):
            if arguments.tree:
                print(f"{tree.name}:")
            for way in arguments.ways:
                print(measure(tree.resolve(), way, arguments.legs, arguments.seconds), flush=True)


if __name__ == "__main__":
    if "--engine" not in sys.argv:
        sys.path.insert(0, str(HERE.parent))
    main()
