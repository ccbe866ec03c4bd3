"""Stop the process, or the network of all legs, for a moment; see when the load is what it was.

Time is simulated: a tick takes as long as the CPU was busy with it, and packets come when they are due, so
that other work on this machine changes little. A stall of the process lets packets wait; a stall of the
network delivers the packets of all remote parties at once.

    python bench/stalls.py [kinds and numbers of legs ...]
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401  (before numpy: it sets the number of BLAS threads)
from bench._machine import KINDS, Machine

STALLS_S = (0.06, 0.15, 0.5, 2.0)
LEGS = dict.fromkeys(KINDS, (100, 500, 1000)) | {"g722": (40, 100, 200), "opus": (20, 40, 80)}
FULL = 0.8
"""Share of a core above which more legs of a kind are not tried: they have no room to catch up in."""
WARM_UP_S = 3.0
CHANGE_S = 1.3
"""After jitter of the network all delays are longer for so long, on purpose; then they come down."""
NOISE, LEAST = 1.5, 0.05
"""A load is what it was up to this factor and this share of a core: the machine has other work, too."""


def cpu(work: Callable[[], object]) -> float:
    """Carry out work and return the CPU seconds that it took."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def measure(machine: Machine, *, network: bool) -> tuple[str, bool]:
    """Return the loads before stalls, right after them, and in the next second; and whether all came back."""
    cells, fine = [], True
    for stall in STALLS_S:
        before = machine.run(1.0)
        machine.stall(stall, network=network)
        seconds = stall + CHANGE_S + 1.0 if network else 1.0
        first = machine.run(seconds)
        after = machine.run(1.0)
        fine = fine and after.cost <= NOISE * before.cost + LEAST and after.ticks >= 49
        cells.append(f"{before.cost:4.0%} {first.cost / seconds:4.0%} {after.cost:4.0%}")
    return "  | ".join(cells), fine


def main() -> int:
    """Print a line for each kind and number of legs; return 1 where a load did not come back."""
    kinds = [word for word in sys.argv[1:] if word in KINDS] or list(KINDS)
    sizes = [int(word) for word in sys.argv[1:] if word.isdigit()]
    print("load of a core before a stall, in the second after it and in the next one")
    print(f"{'':22}" + "  | ".join(f"{stall * 1000:9.0f} ms  " for stall in STALLS_S))
    all_fine = True
    for kind in kinds:
        for legs in sizes or LEGS[kind]:
            machine = Machine(kind, legs, cpu)
            machine.run(WARM_UP_S)
            if (load := machine.run(1.0).cost) > FULL:
                print(f"{kind:8}{legs:5}  {load:4.0%} of a core: left out", flush=True)
                break
            for network in (False, True):
                said, fine = measure(machine, network=network)
                all_fine = all_fine and fine
                where = "network" if network else "process"
                print(f"{kind:8}{legs:5} {where} {said}{'' if fine else '  DID NOT COME BACK'}", flush=True)
    return 0 if all_fine else 1


if __name__ == "__main__":
    sys.exit(main())
