"""Measure what one change costs the engine: calls begin and end all the time while others go on.

A message that changes a port makes the engine look anew at which ports are relayed, which row each port has
and how mixes are summed. The figure is the difference between ticks with and without such a message; no
packets flow.

    python bench/changes.py [legs ...]
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401  (before numpy: it sets the number of BLAS threads)
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine

TICK_S = 0.02
WARM_UP, MEASURED = 50, 100
PCMU = m.PayloadFormat("PCMU", 0, 8000)


def measure(legs: int, *, relays: bool) -> float:
    """Return the least CPU time of a tick with a change, less that of a tick without, milliseconds."""
    engine = Engine(relays=relays)
    for leg in range(1, legs + 1):
        engine.post(m.AddRtpPort(leg, (leg + 1) // 2, m.RtpParameters((PCMU,), PCMU, ssrc=leg)))
        engine.post(m.ConnectPlain(leg, -1, "127.0.0.1", 9))
    now, least = 1000.0, [float("inf"), float("inf")]
    for number in range(WARM_UP + MEASURED):
        is_changed = number % 2
        if is_changed:
            engine.post(m.SetHeld(1, held=False))
        began = time.process_time()
        engine.tick(now)
        spent = time.process_time() - began
        now += TICK_S
        if number >= WARM_UP:
            least[is_changed] = min(least[is_changed], spent)
    return (least[1] - least[0]) * 1000


def main() -> None:
    """Print one line for each number of legs."""
    for legs in map(int, sys.argv[1:] or ["100", "1000"]):
        mixed, relayed = measure(legs, relays=False), measure(legs, relays=True)
        print(f"one change with {legs} legs: mixed {mixed:.2f} ms; relayed {relayed:.2f} ms", flush=True)


if __name__ == "__main__":
    main()
