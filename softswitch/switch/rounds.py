"""Rounds of work that waits in the database: when it comes, now and then, and after a failure ever later."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

FIRST_PAUSE_S = 5.0
"""Pause after a failure; it doubles with each further one."""
LONGEST_PAUSE_S = 600.0
"""Longest pause after a failure, seconds."""
WARN_AFTER = 3
"""Failures in a row from which on /readyz warns."""


class Rounds:
    """When the next round is due, and how the last ones ended."""

    def __init__(self) -> None:
        self._failures = 0
        """Failures in a row."""
        self._error = ""
        self._to_do = asyncio.Event()

    def wake(self) -> None:
        """Note that there is work; after a failure it waits for the end of the pause all the same."""
        self._to_do.set()

    def failed(self, error: str) -> float:
        """Note a failure; return the seconds until the next round."""
        self._failures += 1
        self._error = error
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures - 1, 16))
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads the tries of several switches

    def succeeded(self) -> None:
        """Forget the failures."""
        self._failures = 0

    def warnings(self, what: str) -> list[str]:
        """Return what an operator should hear of: `what`, and why it failed last."""
        return [f"{what}: {self._error}"] if self._failures >= WARN_AFTER else []

    async def run(self, work: Callable[[], Awaitable[float]]) -> None:
        """Do rounds until cancelled; `work` does one, and returns the seconds until the next."""
        while True:
            self._to_do.clear()
            pause = await work()
            if self._failures:
                # What comes meanwhile must not make the pause shorter.
                await asyncio.sleep(pause)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._to_do.wait()
