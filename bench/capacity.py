"""Find how many G.711 legs one process carries: the production engine, another commit of it, and a peer.

The process has one core to itself, the telephones (`bench/telephones.c`, compiled here) have another. Two
legs make a call, each sends a packet every 20 ms over UDP on the loopback. A number of legs is carried if
less than 0.1 % of the packets to the telephones are lost and the 99th percentile of the gaps between two
packets of a leg is below 40 ms, over 6 s after 3 s of warm-up. All telephones have sound all the time:
packets that come without sound are shown, but not counted as lost. The number grows until it is not carried,
then the range is halved down to 5 %. The sides take turns, a trial each. A trial takes about 11 s, a search
up to 12 trials of each side.

    python bench/capacity.py [mixed | relayed | echo [FIRST [BEFORE]]] [--no-peer] [--stall MS]

FIRST is the number of legs to begin with, BEFORE a work tree of another commit. The peer is Janus'
AudioBridge for mixed legs (bench/peer_rooms.py) and rtpengine for relayed ones (bench/peer_relay.py); one
that is not installed is left out. "echo" measures the telephones alone: a C program sends every packet back.

`--stall` stops each process for so long while it has the legs that it carries (SIGSTOP), and tells whether
its load and its loss are back to normal one second after it goes on.
"""

import argparse
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401, I001  (before numpy: it sets the number of BLAS threads)
import numpy as np

from bench.idle import spent_s
from bench.peer_relay import RtpEngine, Switch
from bench.peer_rooms import Janus
from bench.sip_legs import TICK_S

CORES = sorted(os.sched_getaffinity(0))
"""The first one has the telephones and this process, the last one has the side."""
WARM_UP_S, WINDOW_S = 3.0, 6.0
SPARE_S = 0.2
"""The telephones talk so much longer than is evaluated, so that all that came by then is read."""
MOST_LOSS, MOST_GAP_MS = 0.001, 40.0
GROWTH, PRECISION = 1.25, 0.05
MOST_TRIALS = 12
"""Trials of one side, repeated ones among them."""
MOST_LATE = 0.005
"""Share of packets that the telephones may send more than 5 ms late; above it a trial says little."""
SLICE_S, STEP_S, BUCKET_MS = 0.1, 0.005, 0.5
"""As in telephones.c: time between two reports, resolution of arrivals, width of a bucket of gaps."""
RAMP_S = 0.5
"""Packets within so long of the ends of a window count less and less.

An engine sends to all legs at once. One tick that falls just before or behind the end of a window would be a
third of a percent of the packets of 6 s.
"""
NORMAL_S, AFTER_S = 2.0, 2.0
"""Windows before a stall, and from one second after it."""
NORMAL_LOAD, NORMAL_SHARE = 1.15, 0.02
"""A load is back to normal below this multiple of the load before, plus this share of the core."""
FIRST = {"mixed": 400, "relayed": 1500, "echo": 1000}


class Echo:
    """A C program that sends back what each telephone says."""

    def __init__(self, program: str, legs: int) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            [program, "echo", str(legs)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def connect(self, far: list[int]) -> list[int]:
        """Connect the telephones; return the port to which each is to send."""
        return _exchange(self.process, far)

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)


def _switch(tree: Path, kind: str, legs: int) -> Switch:
    return Switch(tree, "sip_legs.py", kind, str(legs))


Side = Switch | RtpEngine | Janus | Echo


def _exchange(process: "subprocess.Popen[str]", far: list[int]) -> list[int]:
    assert process.stdin
    assert process.stdout
    print(json.dumps(far), file=process.stdin, flush=True)
    ports: list[int] = json.loads(process.stdout.readline())
    return ports


@dataclass(frozen=True, slots=True)
class Seen:
    """What the telephones saw during a window."""

    loss: float
    """Share of the packets to the telephones that did not come."""
    silent: float
    """Share of the packets that had no sound."""
    gap_ms: float
    """99th percentile of the gaps between two packets of a leg; the largest one is not resolved."""
    long_gaps: float
    """Share of the gaps of 40 ms and more."""
    late: float
    """Share of the packets that the telephones sent late or not at all."""
    latest_ms: float
    """Delay of the packet that the telephones sent latest."""

    @property
    def is_carried(self) -> bool:
        """Return whether the legs were carried."""
        return self.loss < MOST_LOSS and self.gap_ms < MOST_GAP_MS

    @property
    def is_valid(self) -> bool:
        """Return whether the telephones kept up."""
        return self.late <= MOST_LATE


def window(slices: list[dict[str, Any]], legs: int, start_s: float, end_s: float) -> Seen:
    """Evaluate the reports of the telephones between two times, in seconds since they started."""
    chosen = slices[round(start_s / SLICE_S) : round(end_s / SLICE_S)]
    came = np.concatenate([one["came"] for one in chosen]).astype(float)
    middles = (np.arange(len(came)) + 0.5) * STEP_S
    weights = np.minimum(1.0, np.minimum(middles, len(came) * STEP_S - middles) / RAMP_S)
    expected = legs / TICK_S * STEP_S * weights.sum()
    nominal = legs / TICK_S * SLICE_S * len(chosen)
    silent = sum(one["silent"] for one in chosen) / nominal
    gaps = np.sum([one["gaps"] for one in chosen], axis=0)
    total = max(1, int(gaps.sum()))
    p99 = int(np.searchsorted(np.cumsum(gaps), 0.99 * total)) + 1
    unsent = max(0.0, nominal - sum(one["sent"] for one in chosen))
    return Seen(
        loss=max(0.0, 1.0 - float(came @ weights) / expected),
        silent=silent,
        gap_ms=p99 * BUCKET_MS,
        long_gaps=float(gaps[round(MOST_GAP_MS / BUCKET_MS) :].sum()) / total,
        late=min(1.0, (sum(one["late"] for one in chosen) + unsent) / nominal),
        latest_ms=max(one["latest_ms"] for one in chosen),
    )


@dataclass(frozen=True, slots=True)
class Conversation:
    """Telephones that talk through a side, each process on its own core."""

    side: Side
    phones: "subprocess.Popen[str]"
    began: float
    """Monotonic time at which the telephones started."""

    def load(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Return the share of its core that the side takes between two times, and that of the telephones."""
        self.wait_until(start_s)
        before = self._spent()
        began = time.monotonic()
        self.wait_until(end_s)
        after, seconds = self._spent(), time.monotonic() - began
        return (after[0] - before[0]) / seconds, (after[1] - before[1]) / seconds

    def wait_until(self, at_s: float) -> None:
        """Sleep until so many seconds after the telephones started."""
        time.sleep(max(0.0, self.began + at_s - time.monotonic()))

    def slices(self) -> list[dict[str, Any]]:
        """Return what the telephones saw, when they have ended."""
        assert self.phones.stdout
        return [json.loads(line) for line in self.phones.stdout]

    def _spent(self) -> tuple[float, float]:
        return spent_s(self.side.process.pid), spent_s(self.phones.pid)


@contextmanager
def conversation(
    program: str, make: Callable[[int], Side], legs: int, seconds: float
) -> Iterator[Conversation]:
    """Start a side and the telephones; end both afterwards, and kill what hangs.

    Args:
        program: the compiled telephones.
        make: starts a side for a number of legs.
        legs: number of telephones.
        seconds: how long they talk at least.
    """
    # Processes and their threads inherit the cores of this thread.
    os.sched_setaffinity(0, {CORES[-1]})
    try:
        side = make(legs)
    finally:
        os.sched_setaffinity(0, {CORES[0]})
    command = [program, "talk", str(legs), str(seconds + SPARE_S)]
    phones = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert phones.stdin
        assert phones.stdout
        ports = side.connect(json.loads(phones.stdout.readline()))
        print(json.dumps(ports), file=phones.stdin, flush=True)
        if phones.stdout.readline() != "started\n":
            raise SystemExit("the telephones did not start")
        yield Conversation(side, phones, time.monotonic())
    finally:
        phones.kill()
        phones.wait()
        try:
            side.close()
        except subprocess.TimeoutExpired:
            side.process.kill()
            side.process.wait()


class Search:
    """Search of the largest number of legs that one side carries."""

    def __init__(self, first: int) -> None:
        """Begin with a number of legs."""
        self.number: int | None = first
        """Number of legs to try next; None when the search is over."""
        self.carried = 0
        self.load = 0.0
        """Share of the core at the number that is carried."""
        self.is_doubtful = False
        """Whether the telephones did not keep up where the search found its limit."""
        self._failed: int | None = None
        self._trials = 0
        self._repeated = False

    def note(self, seen: Seen, load: float) -> None:
        """Take the result of a trial, and choose the next number."""
        assert self.number is not None
        self._trials += 1
        is_repeat, self._repeated = self._repeated, False
        if seen.is_carried:
            self.carried, self.load = self.number, load
        elif not seen.is_valid and not is_repeat and self._trials < MOST_TRIALS:
            self._repeated = True
            return
        else:
            self._failed = self.number
            self.is_doubtful = not seen.is_valid
        self.number = self._next() if self._trials < MOST_TRIALS else None

    @property
    def bound(self) -> str:
        """Return which number was tried and not carried."""
        return f"{self._failed} not" if self._failed else "no limit found"

    def _next(self) -> int | None:
        if self._failed is None:
            return _even(self.carried * GROWTH)
        if not self.carried:
            fewer = _even(self._failed / GROWTH)
            return fewer if 2 <= fewer < self._failed else None
        if self._failed - self.carried <= max(2, PRECISION * self.carried):
            return None
        return _even((self.carried + self._failed) / 2)


def _even(number: float) -> int:
    return 2 * round(number / 2)


def attempt(program: str, make: Callable[[int], Side], name: str, legs: int) -> tuple[Seen, float]:
    """Let a side carry a number of legs; print a row, and return what was seen and its share of the core."""
    with conversation(program, make, legs, WARM_UP_S + WINDOW_S) as talk:
        load, phones = talk.load(WARM_UP_S, WARM_UP_S + WINDOW_S)
        seen = window(talk.slices(), legs, WARM_UP_S, WARM_UP_S + WINDOW_S)
    verdict = "carried" if seen.is_carried else "not carried"
    if seen.silent >= MOST_LOSS:
        verdict += ", but with silence"
    if not seen.is_valid:
        verdict += ", the telephones were late"
    print(
        f"{name:10} {legs:6} {seen.loss:8.3%} {seen.silent:8.3%} {seen.gap_ms:8.1f} {seen.long_gaps:8.3%}"
        f" {load:6.0%} {phones:7.0%} {seen.late:8.3%} {seen.latest_ms:7.1f}  {verdict}",
        flush=True,
    )
    return seen, load


def stall(program: str, make: Callable[[int], Side], name: str, legs: int, seconds: float) -> None:
    """Stop a side for a while, and print how it comes back."""
    stopped_s = WARM_UP_S + NORMAL_S
    after_s = math.ceil((stopped_s + seconds + 1.0) / SLICE_S) * SLICE_S
    with conversation(program, make, legs, after_s + AFTER_S) as talk:
        normal, _ = talk.load(WARM_UP_S, stopped_s)
        talk.side.process.send_signal(signal.SIGSTOP)
        talk.wait_until(stopped_s + seconds)
        talk.side.process.send_signal(signal.SIGCONT)
        first, _ = talk.load(stopped_s + seconds, after_s)
        load, _ = talk.load(after_s, after_s + AFTER_S)
        slices = talk.slices()
    before = window(slices, legs, WARM_UP_S, stopped_s)
    seen = window(slices, legs, after_s, after_s + AFTER_S)
    is_back = load <= NORMAL_LOAD * normal + NORMAL_SHARE and seen.is_carried
    print(
        f"{name:10} {legs:6} {normal:7.0%} {before.loss:8.3%} {first:7.0%} {load:7.0%} {seen.loss:8.3%}"
        f" {seen.gap_ms:8.1f}  {'back to normal' if is_back else 'not back to normal'}"
        + ("" if before.is_valid and seen.is_valid else ", the telephones were late"),
        flush=True,
    )


def compiled(folder: str) -> str:
    """Compile the telephones; return the program."""
    compiler = shutil.which("cc")
    if compiler is None:
        print("there is no C compiler (cc) for the telephones: nothing measured")
        raise SystemExit(0)
    program = f"{folder}/telephones"
    source = Path(__file__).with_name("telephones.c")
    subprocess.run([compiler, "-O2", "-o", program, str(source)], check=True)
    return program


def sides(arguments: argparse.Namespace, program: str, folder: str) -> dict[str, Callable[[int], Side]]:
    """Return what starts each side for a number of legs."""
    if arguments.kind == "echo":
        return {"echo": partial(Echo, program)}
    trees = {"softswitch": Path(__file__).resolve().parent.parent}
    if arguments.before:
        trees["before"] = arguments.before.resolve()
    found: dict[str, Callable[[int], Side]] = {
        name: partial(_switch, tree, arguments.kind) for name, tree in trees.items()
    }
    if arguments.peer and arguments.kind == "mixed":
        found["Janus"] = lambda _: Janus(2)
    elif arguments.peer:
        found["rtpengine"] = lambda _: RtpEngine(folder)
    return found


def search(program: str, makes: dict[str, Callable[[int], Side]], first: int) -> dict[str, Search]:
    """Find what each side carries, a trial of each in turn."""
    searches = {name: Search(first) for name in makes}
    print(
        f"{'side':10} {'legs':>6} {'loss':>8} {'silent':>8} {'p99 gap':>8} {'>= 40 ms':>8} {'core':>6}"
        f" {'phones':>7} {'late':>8} {'latest':>7}"
    )
    while any(one.number for one in searches.values()):
        for name, one in list(searches.items()):
            if one.number is None:
                continue
            try:
                one.note(*attempt(program, makes[name], name, one.number))
            except FileNotFoundError:
                print(f"{name} is not installed", flush=True)
                del searches[name]
    return searches


def main() -> None:
    """Print a row for each trial, then what each side carries, then how it comes back from a stall."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", nargs="?", choices=FIRST, default="mixed")
    parser.add_argument("first", nargs="?", type=int, help="number of legs to begin with")
    parser.add_argument("before", nargs="?", type=Path, help="work tree of another commit")
    parser.add_argument("--peer", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--stall", type=float, metavar="MS", help="stop each side for so long afterwards")
    arguments = parser.parse_args()
    if len(CORES) < 2:
        print("the telephones need a second core: nothing measured")
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(folder)
        makes = sides(arguments, program, folder)
        searches = search(program, makes, _even(arguments.first or FIRST[arguments.kind]))
        first, own = next(iter(searches.items()))
        print(f"\n{arguments.kind} legs that one process carries, share of the core, {first} / this side")
        for name, one in searches.items():
            ratio = own.carried / max(1, one.carried)
            doubt = "  (limit of the telephones)" if one.is_doubtful else ""
            print(
                f"{name:10} {one.carried:6} {one.load:5.0%}  {ratio:6.2f}  ({one.bound}){doubt}", flush=True
            )
        if arguments.stall:
            print(f"\nstopped for {arguments.stall:.0f} ms, then from one second after it goes on for 2 s")
            print(
                f"{'side':10} {'legs':>6} {'before':>7} {'loss':>8} {'1st s':>7} {'later':>7} {'loss':>8}"
                f" {'p99 gap':>8}"
            )
            for name, one in searches.items():
                if one.carried:
                    stall(program, makes[name], name, one.carried, arguments.stall / 1000)


if __name__ == "__main__":
    main()
