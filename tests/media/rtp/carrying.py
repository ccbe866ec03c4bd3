"""Lets an engine carry relayed packets between two ticks, whatever else the machine does."""

import time

from softswitch.media.engine.engine import Engine
from softswitch.media.reports import Output

PERIOD_S, MARGIN_S = 0.002, 0.001
TRIES = 20


def has_ticked(engine: Engine, now: float) -> None:
    """Let the last tick be that of now: the machine may be slow, but nothing has stalled."""
    engine._parts.transports._reception._drained = now


def carried(engine: Engine) -> Output:
    """Let what was sent be carried; return what is left to the event loop.

    Where the machine has other work, passes of a few milliseconds may end before the first of them begins.
    """
    output = Output()
    for _ in range(TRIES):
        now = time.monotonic()
        has_ticked(engine, now)
        passed = now - PERIOD_S
        done = engine.carry(passed, now + 2 * PERIOD_S + MARGIN_S, PERIOD_S, MARGIN_S)
        if done is None:
            return engine.relay_now(now)
        output = done[1]
        if done[0] > passed:
            break
    return output
