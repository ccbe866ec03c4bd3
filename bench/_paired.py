"""Compare this work tree with another one: short rounds in turn, the median of the ratios of neighbours.

A shared machine changes its speed from second to second. Two processes, one for each tree, therefore carry
the same calls in rounds of a few ticks, one after the other; neighbouring rounds see the same machine.

    python bench/_paired.py BEFORE [legs:relayed|mixed|rooms|energy|silero ...]

In rooms four legs hear each other. The last two are legs of `/call` with that detector (feed_tick.py).
BEFORE is a work tree of another commit. Both trees are measured with this tree's bench, so that they do the
same.
"""

import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from statistics import median

HERE = Path(__file__).resolve().parent
ROUNDS, TICKS, WARM_UP = 60, 10, 100
CASES = ("2:mixed", "10:mixed", "50:mixed", "200:mixed", "200:relayed", "1000:relayed")


def serve(legs: int, kind: str) -> None:
    """Carry calls for as many ticks as each line of the standard input says; print the CPU seconds."""
    import softswitch  # noqa: PLC0415 - of the tree that PYTHONPATH names, before the bench adds its own

    assert Path(softswitch.__file__).is_relative_to(Path.cwd())
    if kind in ("energy", "silero"):
        calls = run_path(str(HERE / "feed_tick.py"))["Legs"](legs, kind)
    else:
        made = run_path(str(HERE / "relay_tick.py"))["Calls"]
        calls = made(legs, relays=kind == "relayed", members=4 if kind == "rooms" else 2)
    for line in sys.stdin:
        print(calls.run(int(line)), flush=True)


def spawn(tree: Path, legs: str, kind: str) -> "subprocess.Popen[str]":
    """Start the process of one tree."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    command = [sys.executable, str(HERE / "_paired.py"), "--serve", legs, kind]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=tree
    )


def ask(process: "subprocess.Popen[str]", ticks: int) -> float:
    """Have a process carry its calls for some ticks; return the CPU seconds."""
    assert process.stdin
    assert process.stdout
    print(ticks, file=process.stdin, flush=True)
    return float(process.stdout.readline())


def compare(before: Path, case: str) -> str:
    """Return one row of the table."""
    legs, kind = case.split(":")
    with spawn(before, legs, kind) as old, spawn(HERE.parent, legs, kind) as new:
        ask(old, WARM_UP)
        ask(new, WARM_UP)
        pairs = [(ask(old, TICKS), ask(new, TICKS)) for _ in range(ROUNDS)]
        for process in (old, new):
            assert process.stdin
            process.stdin.close()
    scale = 1e6 / TICKS / int(legs)
    ratio = median(after / earlier for earlier, after in pairs)
    least = [min(column) * scale for column in zip(*pairs, strict=True)]
    return f"{legs:>5} {kind:8} {least[0]:8.2f} {least[1]:8.2f} {ratio:8.3f}"


def main() -> None:
    """Print a table: least CPU in us per leg and 20 ms of both trees, and the median ratio."""
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]), sys.argv[3])
        return
    print(f"{'legs':>5} {'kind':8} {'before':>8} {'after':>8} {'ratio':>8}")
    for case in sys.argv[2:] or CASES:
        print(compare(Path(sys.argv[1]).resolve(), case), flush=True)


if __name__ == "__main__":
    main()
