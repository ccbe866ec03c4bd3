"""Run the benchmarks and write what they say to docs/performance.md.

    python -m bench            all of them
    python -m bench engine     those with this word in their name
    python -m bench --print    without writing
    python -m bench --before PATH    compare with the work tree of another commit (bench/_before.py)

Each file beside this one is a benchmark: it runs without arguments and prints its table. Those in ON_REQUEST
take long and run only if a word names them.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from bench import _before

HERE = Path(__file__).resolve().parent
REPORT = HERE.parent / "docs" / "performance.md"
MARK = "<!-- measured by make bench; what stands below is overwritten -->"
COMPARISON = "## Before and after the move"
"""Title of the last section, which a run does not write: it compares two commits."""
TIMEOUT_S = 900
ON_REQUEST = {"capacity"}
"""Benchmarks that run only if one of the words is their name."""


def title_of(path: Path) -> str:
    """Return the first line of a benchmark's docstring."""
    return path.read_text("utf-8").split('"""')[1].strip().splitlines()[0]


def machine() -> str:
    """Return what this was measured on."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, Linux {platform.release()};\n"
        f"other work on the machine before the run, as load average: {load}."
    )


def measure(path: Path) -> tuple[str, bool]:
    """Run one benchmark; return its section of the report, and whether it ended well."""
    print(f"==> {path.stem}", flush=True)
    begin = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, str(path)],
            cwd=HERE.parent,
            env=os.environ | {"PYTHONPATH": str(HERE.parent)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        said, fine = done.stdout + (done.stderr if done.returncode else ""), done.returncode == 0
    except subprocess.TimeoutExpired:
        said, fine = f"no end within {TIMEOUT_S} s\n", False
    print(said, flush=True)
    seconds = time.monotonic() - begin
    return f"## {path.stem}\n\n{title_of(path)} ({seconds:.0f} s)\n\n```\n{said.rstrip()}\n```\n", fine


def main() -> int:
    """Run them; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("words", nargs="*", help="parts of the names of those to run")
    parser.add_argument("--print", action="store_true", help="write nothing")
    parser.add_argument(
        "--before", type=Path, metavar="PATH", help="work tree of another commit to compare with"
    )
    parser.add_argument("--rounds", type=int, default=_before.ROUNDS, help="pairs of runs of a comparison")
    arguments = parser.parse_args()
    if arguments.before:
        print(machine())
        table, fine = _before.compare(arguments.before.resolve(), arguments.words, arguments.rounds)
        print(table)
        return 0 if fine else 1
    chosen = [
        path
        for path in sorted(HERE.glob("*.py"))
        if not path.name.startswith("_")
        and all(word in path.stem for word in arguments.words)
        and (path.stem not in ON_REQUEST or path.stem in arguments.words)
    ]
    where = machine()
    results = [measure(path) for path in chosen]
    # A part of them says nothing of the others: the report is written by a whole run only.
    if not (arguments.print or arguments.words):
        sections = "\n".join(section for section, _ in results)
        # What is written by hand stands above the mark, and below the measured part behind COMPARISON.
        written = REPORT.read_text("utf-8")
        head = written.partition(MARK)[0]
        compared = written[written.index(COMPARISON) :] if COMPARISON in written else ""
        REPORT.write_text(f"{head}{MARK}\n\n{where}\n\n{sections}\n{compared}".rstrip() + "\n", "utf-8")
        print(f"written: {REPORT.relative_to(HERE.parent)}")
    return 0 if all(fine for _, fine in results) else 1


if __name__ == "__main__":
    sys.exit(main())
