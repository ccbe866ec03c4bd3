"""Measure `/call` legs of two trees at the same time: the same callers' sound goes to both switches at once.

On a shared machine the speed changes from second to second, and rounds in turn (`bench --before`) differ by a
fifth. Here both processes are loaded in the same moments, so that ratios differ by two or three percent. The
other tree takes its share of the caches, so absolute figures are higher than those of one switch alone.
CPU is by the clocks of the threads, for which the kernel counts nanoseconds.

    python bench/call_pair.py BEFORE [calls [rounds [vad]]]
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from bench._server import Server, server  # noqa: E402  (found by the line above)
from bench.call_legs import PARTS, RATE, TICK_S, connected, speech_like, spoken_frames  # noqa: E402
from softswitch.audio.wav import header  # noqa: E402

ROUND_S, WARM_UP_S = 3.0, 3.0

Load = Callable[[list[Server], int, int, list[str]], Coroutine[Any, Any, list[list[float]]]]
"""Of switches, calls, rounds and the kind of speech detection at each switch: what :func:`measured` returns,
for each round."""


@contextlib.contextmanager
def switch_of(tree: Path, **settings: str) -> Iterator[Server]:
    """Run the switch of a tree, with the bed of sound that each call plays."""
    here, path = Path.cwd(), os.environ.get("PYTHONPATH", "")
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    try:
        running = contextlib.ExitStack()
        # What an older tree does not know it refuses: this setting is newer than the packages of today.
        has_overload = (tree / "softswitch" / "switch" / "pressure.py").exists()
        calm = {"LIMITS_OVERLOAD": "false"} if has_overload else {}
        switch = running.enter_context(server(HTTP_LOOP="uvloop", **calm, **settings))
    finally:
        os.chdir(here)
        os.environ["PYTHONPATH"] = path
    with running:
        sounds = switch.data / "sounds"
        sounds.mkdir()
        bed = speech_like(5, 99).tobytes()
        (sounds / "bed.wav").write_bytes(header(RATE, 1, len(bed)) + bed)
        yield switch


def thread_seconds(pid: int) -> dict[str, float]:
    """Return the CPU seconds of each thread of a process."""
    spent = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            spent[task.name] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return spent


async def measured(
    switches: list[Server], calls: int, play: Callable[[float], Awaitable[None]]
) -> list[float]:
    """Return and print the microseconds per leg and 20 ms of each switch while `play` has ROUND_S."""
    before, begun = [thread_seconds(switch.pid) for switch in switches], time.monotonic()
    await play(ROUND_S)
    ticks = (time.monotonic() - begun) / TICK_S
    row = []
    for switch, earlier in zip(switches, before, strict=True):
        later = thread_seconds(switch.pid)
        spent = [later[thread] - earlier.get(thread, 0.0) for thread in later]
        row.append(sum(spent) / ticks / calls * 1e6)
        busiest = ", ".join(f"{one / ticks / calls * 1e6:.1f}" for one in sorted(spent)[:-3:-1])
        print(f"{row[-1]:6.1f} ({busiest})", end="  ")
    print(flush=True)
    return row


async def load(switches: list[Server], calls: int, rounds: int, vads: list[str]) -> list[list[float]]:
    """Return for each round the microseconds per leg and 20 ms of each switch."""
    loop = asyncio.get_running_loop()
    frames = spoken_frames()
    callers = [await connected(switch, calls, vad) for switch, vad in zip(switches, vads, strict=True)]
    part = 0

    async def play(seconds: float) -> None:
        nonlocal part
        begun, first = loop.time(), part
        while loop.time() - begun < seconds:
            for each in callers:
                for caller in each[part % PARTS :: PARTS]:
                    track = frames[caller.number % 8]
                    caller.transport.write(track[(part // PARTS + caller.number) % len(track)])
            part += 1
            await asyncio.sleep(max(0.0, begun + (part - first) * TICK_S / PARTS - loop.time()))

    def heard() -> list[int]:
        return [sum(caller.octets for caller in each) for each in callers]

    await play(WARM_UP_S)
    begun, before = loop.time(), heard()
    found = [await measured(switches, calls, play) for _ in range(rounds)]
    seconds = loop.time() - begun
    kilobytes = [(now - then) / seconds / calls / 1000 for now, then in zip(heard(), before, strict=True)]
    print(
        f"kilobytes of audio a second that each caller heard: {', '.join(f'{one:.1f}' for one in kilobytes)}"
    )
    for each in callers:
        for caller in each:
            caller.transport.close()
    return found


def compare(load: Load, default_calls: str) -> None:
    """Print a line for each round (in brackets the two busiest threads), and the ratio."""
    before = Path(sys.argv[1]).resolve()
    given = sys.argv[2:4]
    calls, rounds = (int(word) for word in (*given, *(default_calls, "6")[len(given) :]))
    vad = sys.argv[4] if len(sys.argv) > 4 else "energy"
    print("us per leg and 20 ms: before, this tree")
    with switch_of(before) as earlier, switch_of(HERE) as later:
        found = asyncio.run(load([earlier, later], calls, rounds, [vad, vad]))
    print(f"{calls} calls, {vad}: ratio {median(now / then for then, now in found):.2f}")


if __name__ == "__main__":
    compare(load, "30")
