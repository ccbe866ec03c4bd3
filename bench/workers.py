"""Processor time of a call: one process against two workers with the same calls on each, in pairs.

It starts both in turn and prints, for each round, milliseconds of processor time per call and second, the
supervisor's share, and what the generator of the calls used itself.

    python bench/workers.py [--calls N] [--seconds S] [--rounds R]
"""

import argparse
import asyncio
import contextlib
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.switch import SwitchProcess

FRAME = bytes(640)
"""20 ms of silence, PCM16 at 16 kHz."""
HERTZ = os.sysconf("SC_CLK_TCK")


def processes(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(word) for word in (task / "children").read_text().split()]
    return found


def used(pid: int) -> float:
    """Return the processor time of one process in seconds."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / HERTZ


async def call(session: aiohttp.ClientSession, url: str, over: asyncio.Event) -> None:
    """Make one call that sends and receives audio until the end."""
    async with session.ws_connect(url) as socket:
        await socket.send_json({"command": "invite", "option": {"callee": "echo", "vad": {"type": "off"}}})

        async def read() -> None:
            async for _ in socket:
                pass

        reading = asyncio.ensure_future(read())
        due = time.monotonic()
        while not over.is_set():
            await socket.send_bytes(FRAME)
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        reading.cancel()


async def measure(switch: SwitchProcess, calls: int, seconds: float) -> tuple[float, float, float]:
    """Return processor milliseconds per call and second, of the switch, its first process, the generator."""
    over = asyncio.Event()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        running = []
        for _ in range(calls):
            running.append(
                asyncio.ensure_future(call(session, switch.socket_url("/call", dump="false"), over))
            )
            await asyncio.sleep(0.03)
        await asyncio.sleep(2)
        pids = processes(switch.process.pid)
        before = {pid: used(pid) for pid in pids}
        own, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        await asyncio.sleep(seconds)
        elapsed = time.monotonic() - began
        spent = {pid: used(pid) - before[pid] for pid in pids}
        mine = resource.getrusage(resource.RUSAGE_SELF)
        over.set()
        await asyncio.gather(*running, return_exceptions=True)
    share = 1000 / calls / elapsed
    generator = mine.ru_utime + mine.ru_stime - own.ru_utime - own.ru_stime
    return sum(spent.values()) * share, spent[switch.process.pid] * share, generator * share


@contextlib.contextmanager
def switch(workers: int) -> Iterator[SwitchProcess]:
    """Run a switch."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"SOFTSWITCH_SERVER_WORKERS": str(workers), "SOFTSWITCH_SPEECH_PRELOAD": "false"}
        with SwitchProcess(Path(folder) / "data", environment) as running:
            yield running


def main() -> None:
    """Measure in pairs and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20, help="calls on each process")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    ratios = []
    for number in range(given.rounds):
        with switch(1) as one:
            single = asyncio.run(measure(one, given.calls, given.seconds))
        with switch(2) as two:
            double = asyncio.run(measure(two, 2 * given.calls, given.seconds))
        ratios.append(double[0] / single[0])
        print(
            f"round {number + 1}: one {single[0]:.2f} ms, two {double[0]:.2f} ms "
            f"(supervisor {double[1]:.3f}), ratio {ratios[-1]:.3f}; "
            f"generator {single[2]:.2f} and {double[2]:.2f} ms"
        )
    print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
