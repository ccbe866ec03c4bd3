"""Messages to one URL, one after the other: signed, tried again, never waited for by whoever sends them."""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass

from softswitch.egress.errors import EgressError, EgressRefused
from softswitch.egress.http import Door
from softswitch.egress.signature import HEADER, signature

logger = logging.getLogger(__name__)

MOST_WAITING = 64
"""Messages that wait for one URL; beyond it the oldest are dropped and counted."""
PAUSES_S = (1.0, 3.0, 5.0, 5.0)
"""Between tries."""


@dataclass(slots=True)
class CourierCounters:
    """What all couriers of a process count, for metrics."""

    delivered: int = 0
    """Messages taken by their URL."""
    failed: int = 0
    """Messages given up after all tries."""
    retried: int = 0
    """Tries after the first."""
    dropped: int = 0
    """Messages dropped because too many waited."""


@dataclass(frozen=True, slots=True)
class CourierTerms:
    """How couriers work."""

    secret: str = ""
    """Signs every body; empty: no signature."""
    timeout_s: float = 5.0
    """For one try."""
    tries: int = 3


class Courier:
    """Brings the messages of one call to one URL, in order."""

    def __init__(
        self, door: Door, url: str, terms: CourierTerms, counters: CourierCounters, *, trusted: bool = False
    ) -> None:
        """Prepare; :meth:`run` brings what is given to :meth:`post`.

        Args:
            door: The one way outwards.
            url: Where to post.
            terms: How.
            counters: Shared by all couriers.
            trusted: Whether the operator wrote the URL.
        """
        self.url = url
        self._door, self._terms, self._counters = door, terms, counters
        self._trusted = trusted
        self._waiting: deque[tuple[bytes, asyncio.Future[str]]] = deque()
        self._grown = asyncio.Event()
        self._finished = False

    def post(self, body: bytes) -> "asyncio.Future[str]":
        """Queue a JSON body; the future tells what went wrong, or an empty text."""
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= MOST_WAITING:
            self._counters.dropped += 1
            self._waiting.popleft()[1].set_result("too many messages waited")
        self._waiting.append((body, outcome))
        self._grown.set()
        return outcome

    def finish(self) -> None:
        """Let :meth:`run` end behind what waits."""
        self._finished = True
        self._grown.set()

    async def run(self) -> None:
        """Bring everything until finished."""
        while True:
            while self._waiting:
                body, outcome = self._waiting.popleft()
                wrong = await self._bring(body)
                if not outcome.done():
                    outcome.set_result(wrong)
            if self._finished:
                return
            self._grown.clear()
            await self._grown.wait()

    async def _bring(self, body: bytes) -> str:
        wrong = ""
        for number in range(self._terms.tries):
            if number:
                self._counters.retried += 1
                await asyncio.sleep(PAUSES_S[min(number, len(PAUSES_S)) - 1])
            try:
                async with asyncio.timeout(self._terms.timeout_s):
                    wrong = await self._try(body)
            except EgressRefused as error:
                wrong = str(error)
                break
            except EgressError as error:
                wrong = str(error)
            except TimeoutError:
                wrong = f"the webhook did not answer within {self._terms.timeout_s:g} s"
            if not wrong:
                self._counters.delivered += 1
                return ""
        self._counters.failed += 1
        logger.warning("a webhook was not delivered", extra={"error": wrong})
        return wrong

    async def _try(self, body: bytes) -> str:
        headers = {"Content-Type": "application/json"}
        if self._terms.secret:
            headers[HEADER] = signature(self._terms.secret, int(time.time()), body)
        answer = await self._door.fetch(
            self.url, method="POST", headers=headers, body=body, trusted=self._trusted
        )
        return "" if 200 <= answer.status < 300 else f"the webhook answered {answer.status}"
