"""Processes that measure a soak from outside: an honest call, a control, and the waits for a processor.

Each is started by `Pace`, writes one JSON line when its standard input closes, and shares no loop with the
test. All times are those of the monotonic clock, which is the same for all processes of a machine.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import aiohttp

Span = tuple[float, float]
"""Beginning and end, monotonic seconds."""

STEP_S = 0.02
"""The control wakes as often as the engine ticks."""
NOTED_S = 0.025
"""Gaps that are shorter are not kept."""
REPORT_S = 30.0


class Pace:
    """A measuring process: `Pace("control")`, `Pace("call", url)` or `Pace("waits", pid, ...)`."""

    def __init__(self, kind: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.pace", kind, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        self.pid = self._process.pid
        self.ready()

    def ready(self) -> None:
        """Wait until it measures."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n", "the measuring process does not start"

    def report(self) -> dict[str, Any]:
        """End the process and return what it measured."""
        written, _ = self._process.communicate(timeout=REPORT_S)
        return dict(json.loads(written))

    def kill(self) -> None:
        """End the process, whatever its state."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def unexcused(call: list[Span], control: list[Span], waits: list[list[float]], most_s: float) -> list[Span]:
    """Return the gaps of the call that are too long for what the machine did at the same moment.

    A gap is allowed `most_s`, plus what the control was late, plus what the processes of the call waited for
    a processor, both within a tenth of a second of the gap.

    Args:
        call: Gaps of the honest call.
        control: Gaps of the control.
        waits: Beginning, end, and the seconds that threads waited for a processor between them.
        most_s: Longest gap on a machine with nothing else to do, in seconds.
    """
    found = []
    for begin, end in call:
        first, last = begin - 0.1, end + 0.1
        late = max((b - a - STEP_S for a, b in control if a < last and b > first), default=0.0)
        waited = sum(seconds for a, b, seconds in waits if a < last and b > first)
        if end - begin - late - waited > most_s:
            found.append((begin, end))
    return found


def _stopped() -> threading.Event:
    """Return an event that is set once standard input closes, and tell the parent that all is ready."""
    stopped = threading.Event()

    def read() -> None:
        sys.stdin.read()
        stopped.set()

    threading.Thread(target=read, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    return stopped


def _control() -> dict[str, Any]:
    """Wake every 20 ms, and do nothing else."""
    stopped, gaps, before = _stopped(), [], time.monotonic()
    while not stopped.is_set():
        time.sleep(STEP_S)
        now = time.monotonic()
        if now - before > NOTED_S:
            gaps.append((before, now))
        before = now
    return {"gaps": gaps}


def _waited(pid: int) -> dict[str, float]:
    """Return the seconds that each thread of a process has waited for a processor; nothing where unknown."""
    found = {}
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            found[str(thread)] = int(thread.read_text().split()[1]) / 1e9
    return found


def _waits(pids: list[int]) -> dict[str, Any]:
    """Note how long processes wait for a processor, and between which times."""
    stopped, noted = _stopped(), []
    before, since = {name: s for pid in pids for name, s in _waited(pid).items()}, time.monotonic()
    while not stopped.is_set():
        time.sleep(STEP_S)
        after = {name: s for pid in pids for name, s in _waited(pid).items()}
        now = time.monotonic()
        grown = sum(seconds - before.get(name, 0.0) for name, seconds in after.items())
        if grown > 0.001:
            noted.append((since, now, grown))
        before, since = after, now
    return {"waits": noted}


async def _call(url: str) -> dict[str, Any]:
    """Hold a call with the switch's tone, and note the gaps between its pieces of audio."""
    gaps: list[Span] = []
    pieces = silent = 0
    ended = ""
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
        await socket.send_json({"command": "invite", "option": {"callee": "tone", "vad": False}})
        while (await socket.receive()).type is not aiohttp.WSMsgType.BINARY:
            pass
        stopped, before = _stopped(), time.monotonic()
        while not stopped.is_set():
            message = await socket.receive(timeout=10)
            now = time.monotonic()
            if message.type is aiohttp.WSMsgType.BINARY:
                pieces += 1
                silent += not any(message.data)
                if now - before > NOTED_S:
                    gaps.append((before, now))
                before = now
            elif message.type is not aiohttp.WSMsgType.TEXT:
                ended = f"{message.type.name} {socket.close_code}"
                break
            elif json.loads(message.data)["event"] == "hangup":
                ended = message.data
        if not ended:
            await socket.send_json({"command": "hangup"})
            while (await socket.receive(timeout=10)).type in {
                aiohttp.WSMsgType.BINARY,
                aiohttp.WSMsgType.TEXT,
            }:
                pass
    return {"gaps": gaps, "pieces": pieces, "silent": silent, "ended": ended}


def main(kind: str, *arguments: str) -> None:
    """Measure until standard input closes, then write the report."""
    match kind:
        case "control":
            report = _control()
        case "waits":
            report = _waits([int(pid) for pid in arguments])
        case "call":
            report = asyncio.run(_call(*arguments))
        case _:
            raise ValueError(f"no such measurement: {kind}")
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
