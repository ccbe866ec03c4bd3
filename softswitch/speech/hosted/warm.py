"""Connections kept for the next text, so that a sentence does not wait for a handshake."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

from softswitch.errors import SoftswitchError
from softswitch.log.tasks import Tasks, Work
from softswitch.speech.hosted.connection import Connection
from softswitch.speech.hosted.wire import TtsProtocol

logger = logging.getLogger(__name__)

IDLE_S = 15.0
"""Seconds that a connection waits for the next text; vendors close connections after 20 s or later."""
PER_KEY = 4
"""Connections that wait with equal parameters."""
MOST = 64
"""Connections that wait in all."""


@dataclass(slots=True, eq=False)
class Line:
    """A connection, its protocol object, and whether it was used before."""

    protocol: TtsProtocol
    connection: Connection
    ready: bool = False
    used: bool = False


Open = Callable[[], Awaitable[Line]]


@dataclass(slots=True)
class _Waiting:
    lines: deque[tuple[Line, asyncio.TimerHandle]] = field(default_factory=deque)
    opening: asyncio.Task[None] | None = None


class WarmLines:
    """Keeps open connections by the parameters they were opened with."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._waiting: dict[Hashable, _Waiting] = {}
        self._tasks = Tasks("speech", "kept connections")
        self.opened = 0
        """Connections opened."""
        self.reused = 0
        """Texts that found a connection open."""

    def __len__(self) -> int:
        return sum(len(waiting.lines) for waiting in self._waiting.values())

    async def take(self, key: Hashable, open_line: Open) -> Line:
        """Return an open connection, kept or new; raises what `open_line` raises."""
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.opening is not None and not waiting.lines:
            await asyncio.wait([waiting.opening])
        if (line := self._kept(key)) is not None:
            self.reused += 1
            return line
        self.opened += 1
        return await open_line()

    def give_back(self, key: Hashable, line: Line) -> None:
        """Keep a connection for the next text, or close it where enough are kept."""
        waiting = self._waiting.setdefault(key, _Waiting())
        if line.connection.closed or len(waiting.lines) >= PER_KEY or len(self) >= MOST:
            self.drop(line)
            self._forget(key)
            return
        timer = asyncio.get_running_loop().call_later(self._idle_s, self._expire, key, line)
        waiting.lines.append((line, timer))

    def prepare(self, key: Hashable, open_line: Open) -> None:
        """Open a connection for the next text in the background; a failure shows when one is needed."""
        waiting = self._waiting.setdefault(key, _Waiting())
        if waiting.lines or waiting.opening is not None or len(self) >= MOST:
            return

        async def work() -> None:
            try:
                self.opened += 1
                line = await open_line()
            except SoftswitchError as error:
                logger.debug("no connection was opened ahead", extra={"error": str(error)})
            else:
                self.give_back(key, line)
            finally:
                waiting.opening = None
                self._forget(key)

        waiting.opening = self._tasks.spawn(work(), name="open a connection")

    def drop(self, line: Line) -> None:
        """Close a connection in the background."""
        self.spawn(line.connection.close())

    def spawn(self, work: Work) -> None:
        """Run something to its end in the background."""
        self._tasks.spawn(work, name="close a connection")

    async def close(self) -> None:
        """Close all connections that wait."""
        for waiting in list(self._waiting.values()):
            if waiting.opening is not None:
                waiting.opening.cancel()
            for line, timer in waiting.lines:
                timer.cancel()
                self.drop(line)
        self._waiting.clear()
        await self._tasks.join()

    def _kept(self, key: Hashable) -> Line | None:
        waiting = self._waiting.get(key)
        while waiting is not None and waiting.lines:
            line, timer = waiting.lines.pop()
            timer.cancel()
            self._forget(key)
            if not line.connection.closed:
                return line
            self.drop(line)
        return None

    def _expire(self, key: Hashable, line: Line) -> None:
        waiting = self._waiting.get(key)
        if waiting is None:
            return
        for entry in list(waiting.lines):
            if entry[0] is line:
                waiting.lines.remove(entry)
                self.drop(line)
        self._forget(key)

    def _forget(self, key: Hashable) -> None:
        waiting = self._waiting.get(key)
        if waiting is not None and not waiting.lines and waiting.opening is None:
            del self._waiting[key]
