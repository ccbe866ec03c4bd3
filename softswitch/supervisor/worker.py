"""One worker: a process that the supervisor has started, its channels and its load."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from softswitch.bus.channel import Channel, pair
from softswitch.bus.frames import Frame, pack
from softswitch.bus.place import VARIABLE, Place

WAITING_BYTES = 8_000_000
"""Octets that may wait for a worker that reads its bus slowly; then it is cut, and started anew."""
BEAT_S = 5.0
"""Time without a sign of life after which a worker counts as stuck, in seconds."""

COUNTED_S = 1.0
"""Time for which a call counts from the moment it was given to a worker, in seconds."""

State = Literal["starting", "ready", "retiring", "gone"]


class Worker:
    """One worker process."""

    def __init__(self, number: int) -> None:
        """Prepare; `start` comes next."""
        self.number = number
        self.state: State = "starting"
        self.calls = 0
        """Live calls, as the worker reported them last."""
        self._given: deque[float] = deque()
        """Times of the calls and connections that were given to it lately, in monotonic seconds."""
        self.total = 0
        """Calls and connections given to it since its start."""
        self.started_at = time.monotonic()
        self.beat_at = time.monotonic()
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self.control: Channel | None = None
        self.is_replacement = False
        """Whether it was started to take the place of another worker in a rolling restart."""

    @property
    def load(self) -> tuple[int, int]:
        """Return what the choice of the least loaded worker compares.

        A call counts for `COUNTED_S` from the moment it was given, since the report of it comes later.
        """
        now = time.monotonic()
        while self._given and self._given[0] < now - COUNTED_S:
            self._given.popleft()
        return self.calls + len(self._given), self.total

    def give(self) -> None:
        """Note that it is given a call or connection."""
        self._given.append(time.monotonic())
        self.total += 1

    @property
    def alive(self) -> bool:
        """Tell whether it has given a sign of life lately, with everything vital working."""
        return time.monotonic() - self.beat_at < BEAT_S

    async def start(
        self,
        place: Callable[[int, int], Place],
        on_frame: Callable[[bytes], None],
        on_sip: Callable[[bytes, Sequence[int]], None] | None,
        environ: Mapping[str, str],
    ) -> Channel | None:
        """Start the process; return its SIP channel.

        Args:
            place: Makes the place from the descriptors of control and SIP (-1: none).
            on_frame: Gets the frames of the worker.
            on_sip: Gets its SIP packets; None: SIP is off.
            environ: Environment of the process.

        Raises:
            OSError: The process could not be started.
        """
        control, control_end = pair()
        ends = [control_end]
        sip = None
        if on_sip is not None:
            sip, sip_end = pair()
            ends.append(sip_end)
        told = place(control_end.fileno(), ends[1].fileno() if len(ends) > 1 else -1)
        try:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "softswitch",
                *sys.argv[1:],
                env={**environ, VARIABLE: msgspec.json.encode(told).decode()},
                pass_fds=[end.fileno() for end in ends],
                # Signals of a terminal reach the supervisor alone, which tells its workers.
                start_new_session=True,
            )
        finally:
            for end in ends:
                end.close()
        self.control = Channel(
            control, lambda data, descriptors: on_frame(data), self._cut, waiting=WAITING_BYTES
        )
        return Channel(sip, on_sip, lambda: None) if sip is not None and on_sip is not None else None

    async def wait(self) -> int:
        """Wait until the process has ended; return its code."""
        code = await self.process.wait() if self.process is not None else 0
        if self.control is not None:
            # What it said last is still in the kernel.
            while not self.control.read():
                pass
            self.control.close()
        return code

    def tell(self, frame: Frame, descriptors: Sequence[int] = ()) -> bool:
        """Send it a frame; False where it does not take it."""
        return self.control is not None and self.control.send(pack(frame), descriptors)

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def _cut(self) -> None:
        """End a worker whose channel is closed: it is gone, or reads too slowly."""
        if self.state in ("starting", "ready"):
            self.signal(signal.SIGKILL)


def environment() -> dict[str, str]:
    """Return the environment of workers: without what only the supervisor tells the service manager."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")
    }
