"""Measurement of how late the process is, for the admission of new calls (`call.admission`)."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from softswitch.call.admission import AGE_S, LOOK_S, Admission, Signs
from softswitch.errors import NotNowError

logger = logging.getLogger(__name__)

REST_S = 1.0
"""Longest time between two measurements while nothing happens, seconds."""
CALM = 0.1
"""Smoothed pressure below which the measurement may rest; overload is above 1."""


class Pressure:
    """Measures ticks, event loop and queues ten times a second; admits new calls by the last measurement.

    It rests while no tick runs, no call comes and the pressure is low: then one measurement a second keeps
    watch over the event loop. A new call or a message that has waited too long ends the rest at once.
    """

    def __init__(
        self,
        ticks: Mapping[str, int],
        *,
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; :meth:`run` measures.

        Args:
            ticks: Counters ticks, late_ticks and jumped_ticks of the engine, read at each measurement.
            enabled: False admits every call and only measures ([limits] overload).
            clock: Monotonic seconds.
        """
        self.admission = Admission()
        self.signs = Signs()
        """The last measurement."""
        self._ticks = ticks
        self._enabled = enabled
        self._clock = clock
        self._age_s = 0.0
        self._has_ticked = True
        """Whether the engine ran between the last two measurements."""
        self._seen = (0, 0)
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop whose rounds bound the calls admitted; None before :meth:`run`."""
        self._in_round = False
        """Whether the end of this round of the event loop is awaited."""
        self._stirred = asyncio.Event()
        """Set by what ends the rest; cleared by each measurement."""

    async def run(self) -> None:
        """Measure every `LOOK_S` seconds, or `REST_S` while nothing happens, until cancelled."""
        self._seen = self._read_ticks()
        self._loop = asyncio.get_running_loop()
        self.admission.has_rounds = self._enabled
        while True:
            period_s = REST_S if self._may_rest() else LOOK_S
            self._stirred.clear()
            due = self._clock() + period_s
            if period_s == LOOK_S:
                await asyncio.sleep(LOOK_S)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(period_s):
                        await self._stirred.wait()
            now = self._clock()
            self.look(max(0.0, now - due), now)

    def _may_rest(self) -> bool:
        admission = self.admission
        is_calm = admission.pressure < CALM and not admission.is_shedding
        return is_calm and not self._has_ticked and not self._stirred.is_set()

    def look(self, lag_s: float, now: float) -> None:
        """Measure once.

        Args:
            lag_s: How late the event loop came to it, in seconds.
            now: Monotonic seconds.
        """
        began, late = self._read_ticks()
        ticks, late = began - self._seen[0], late - self._seen[1]
        self._seen = self._read_ticks()
        self._has_ticked = ticks > 0
        self.signs = Signs(min(late / ticks, 1.0) if ticks > 0 else 0.0, lag_s, self._age_s)
        self._age_s = 0.0
        was = self.admission.is_shedding
        self.admission.look(self.signs, now)
        if self.admission.is_shedding is not was:
            self._log()

    def waited(self, age_s: float) -> None:
        """Note that a message waited so many seconds in a queue before it was read."""
        self._age_s = max(self._age_s, age_s)
        if age_s > AGE_S:
            self._stirred.set()

    @property
    def is_shedding(self) -> bool:
        """Return whether new calls are being refused."""
        return self._enabled and self.admission.is_shedding

    def refuse(self) -> int:
        """Decide on one new call: return 0 to admit it, else the seconds after which to try again."""
        self._stirred.set()
        admission, loop = self.admission, self._loop if self._enabled else None
        is_admitted = admission.admits(self._clock())
        if is_admitted and admission.is_shedding and loop is not None and not self._in_round:
            self._in_round = True
            loop.call_soon(self._next_round)
        return 0 if is_admitted or not self._enabled else admission.retry_after_s

    def _next_round(self) -> None:
        self._in_round = False
        self.admission.next_round()

    def check(self) -> None:
        """Decide on one new call.

        Raises:
            NotNowError: the switch is overloaded.
        """
        if wait := self.refuse():
            raise NotNowError("the switch is overloaded: try again later", retry_after_s=wait)

    def totals(self) -> dict[str, float]:
        """Return the counters for `/metrics`."""
        admission = self.admission
        return {
            "calls_admitted": admission.admitted,
            "calls_refused": admission.refused,
            "begun": admission.begun,
        }

    def gauges(self) -> dict[str, float]:
        """Return the gauges for `/metrics`."""
        admission, signs = self.admission, self.signs
        return {
            "active": float(self.is_shedding),
            "pressure_ratio": admission.pressure,
            "calls_per_second": admission.rate if admission.is_shedding else 0.0,
            "late_ticks_ratio": signs.late_share,
            "loop_lag_seconds": signs.lag_s,
            "queue_age_seconds": signs.age_s,
        }

    def _read_ticks(self) -> tuple[int, int]:
        jumped = self._ticks.get("jumped_ticks", 0)
        return self._ticks.get("ticks", 0) + jumped, self._ticks.get("late_ticks", 0) + jumped

    def _log(self) -> None:
        admission, signs = self.admission, self.signs
        figures = {
            "late_ticks_ratio": round(signs.late_share, 2),
            "loop_lag_s": round(signs.lag_s, 3),
            "queue_age_s": round(signs.age_s, 3),
            "calls_per_second": round(admission.rate, 1),
            "refused": admission.refused,
        }
        if not admission.is_shedding:
            logger.warning("overload is over: every new call is admitted again", extra=figures)
        elif self._enabled:
            logger.warning("overload: new calls beyond this rate are refused with 503", extra=figures)
        else:
            logger.warning(
                "overload: new calls are admitted all the same, as [limits] overload is false", extra=figures
            )
