"""Compare this work tree with another: whole benchmarks in turn (A B A B …), medians of the rounds.

    python -m bench --before PATH [--rounds N] [benchmark ...]

Both trees run the benchmark of that name that they hold, with few calls, so that the two runs of a pair are
close in time. The figures are CPU times of the process that is measured: other work on the machine changes
them less than it changes delays. The ratio of a figure is the median of the ratios of the pairs.
"""

import gc
import os
import re
import struct
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from runpy import run_path
from statistics import median

HERE = Path(__file__).resolve().parent
ROUNDS = 5
WORSE = 1.10
"""Ratio from which a figure counts as worse."""
TIMEOUT_S = 300

NUMBER = r"(\d+\.?\d*)"
COMPARED: Mapping[str, tuple[tuple[str, ...], tuple[tuple[str, str], ...]]] = {
    "sip_calls": (("300", "20"), (("ms a SIP call, set up and torn down", rf"switch: {NUMBER} ms a call"),)),
    "sip_legs": (
        ("100", "5", "relayed", "mixed", "rooms of 4"),
        (
            ("us a telephone and 20 ms, relayed", rf"^relayed +\d+ +{NUMBER}"),
            ("us a telephone and 20 ms, mixed", rf"^mixed +\d+ +{NUMBER}"),
            ("us a telephone and 20 ms, rooms of 4", rf"^rooms of 4 +\d+ +{NUMBER}"),
        ),
    ),
    "call_legs": (
        ("60", "8"),
        (
            ("us a `/call` leg and 20 ms, uvloop", rf"^uvloop +energy +\d+ +{NUMBER}"),
            ("us a `/call` leg and 20 ms, uvloop, silero", rf"^uvloop +silero +\d+ +{NUMBER}"),
            ("us a `/call` leg and 20 ms, asyncio", rf"^asyncio +energy +\d+ +{NUMBER}"),
        ),
    ),
    "webrtc_legs": (
        ("20", "8"),
        (
            ("us a WebRTC leg and 20 ms, uvloop, silero", rf"^uvloop +silero +\d+ +{NUMBER}"),
            ("us a WebRTC leg and 20 ms, uvloop", rf"^uvloop +energy +\d+ +{NUMBER}"),
            ("us a WebRTC leg and 20 ms, asyncio, silero", rf"^asyncio +silero +\d+ +{NUMBER}"),
        ),
    ),
    "wavix_streams": (
        ("30", "5", "sip"),
        (
            ("us a telephone and 20 ms, no stream", rf"^ +sip +uvloop +\d+ +{NUMBER}"),
            ("us a telephone and 20 ms, streamed both ways", rf"^ +sip +uvloop +\d+ +[\d.]+ +{NUMBER}"),
        ),
    ),
    "idle": (("5",), (("% of a core, idle", rf"(?:idle|speech preload = false): {NUMBER} %"),)),
}
"""For each benchmark its arguments, and the figures: what they are, where it prints them."""


def figures(tree: Path, name: str) -> dict[str, float]:
    """Run a benchmark of a tree; return its figures.

    Raises:
        RuntimeError: It failed, or printed other lines.
    """
    arguments, wanted = COMPARED[name]
    done = subprocess.run(
        [sys.executable, str(tree / "bench" / f"{name}.py"), *arguments],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), **_settings(tree)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    found = {}
    for what, pattern in wanted:
        match = re.search(pattern, done.stdout, re.MULTILINE)
        if match is None:
            raise RuntimeError(f"{name} of {tree} printed no {what}:\n{done.stdout}{done.stderr}")
        found[what] = float(match[1])
    return found


# --- the tick of the engine -----------------------------------------------------------


TICKS, NEIGHBOURS, LEGS = 10, 100, 100


def serve_ticks(*, relays: bool) -> None:
    """Run as many ticks as each line of the standard input says; print the CPU seconds of each."""
    bench = run_path(str(Path.cwd() / "bench" / "engine_tick.py"))
    engine, payloads = bench["build"](LEGS, relays=relays), bench["voice"](LEGS)
    gc.collect()
    gc.freeze()
    tick, now = 0, 1000.0
    for line in sys.stdin:
        spent = 0.0
        for _ in range(int(line)):
            for leg in range(LEGS):
                header = struct.pack(">BBHII", 0x80, 0, tick & 0xFFFF, tick * 160, leg + 1)
                engine.deliver(leg + 1, header + payloads[leg][tick % 50])
            began = time.process_time()
            engine.tick(now)
            spent += time.process_time() - began
            tick, now = tick + 1, now + bench["TICK_S"]
        print(spent, flush=True)


def compare_ticks(before: Path) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Yield the figures of the tick: short runs of both trees in turn, so that neighbours see one machine."""
    for kind, what in (("mixed", "mixed"), ("relayed", "relayed and listened to")):
        processes = [
            subprocess.Popen(
                [sys.executable, str(HERE / "_before.py"), kind],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tree,
                env=os.environ | {"PYTHONPATH": str(tree)},
            )
            for tree in (before, HERE.parent)
        ]  # fmt: skip

        def ask(ticks: int, processes: list["subprocess.Popen[str]"] = processes) -> tuple[float, float]:
            spent = []
            for process in processes:
                assert process.stdin
                assert process.stdout
                print(ticks, file=process.stdin, flush=True)
                spent.append(float(process.stdout.readline()) * 1e6 / ticks / LEGS)
            return spent[0], spent[1]

        ask(100)
        yield f"us a leg and tick, {what}", [ask(TICKS) for _ in range(NEIGHBOURS)]
        for process in processes:
            assert process.stdin
            process.stdin.close()
            process.wait()


def _tried(tree: Path, name: str) -> dict[str, float]:
    """Return the figures of a benchmark; one more run where a loaded machine broke the first."""
    try:
        return figures(tree, name)
    except (RuntimeError, subprocess.TimeoutExpired):
        return figures(tree, name)


def _settings(tree: Path) -> dict[str, str]:
    """Return environment variables for a tree: no call is refused since other work loads the machine."""
    has_overload = (tree / "softswitch" / "switch" / "pressure.py").exists()
    return {"SOFTSWITCH_LIMITS_OVERLOAD": "false"} if has_overload else {}


def compare(before: Path, names: list[str], rounds: int) -> tuple[str, bool]:
    """Return the table, and whether no figure is worse by a tenth."""
    rows = [
        "| CPU | before | after | ratio of medians | median ratio of pairs |",
        "|---|---|---|---|---|",
    ]
    fine = True
    for name in names or [*COMPARED, "engine_tick"]:
        pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
        if name == "engine_tick":
            pairs.update(compare_ticks(before))
            rounds_of_this = 0
        else:
            rounds_of_this = rounds
        for _ in range(rounds_of_this):
            earlier, later = _tried(before, name), _tried(HERE.parent, name)
            for what, figure in earlier.items():
                pairs[what].append((figure, later[what]))
        for what, each in pairs.items():
            old, new = (median(column) for column in zip(*each, strict=True))
            ratio = median(b / a if a else 1.0 for a, b in each)
            fine = fine and ratio <= WORSE
            rows.append(f"| {what} | {old:.3g} | {new:.3g} | {new / old if old else 1:.2f} | {ratio:.2f} |")
            print(rows[-1], *(f"{a:g}/{b:g}" for a, b in each[:9]), flush=True)
    return "\n".join(rows) + "\n", fine


if __name__ == "__main__":
    serve_ticks(relays=sys.argv[1] == "relayed")
