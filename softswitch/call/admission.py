"""Admission of new calls under overload, decided by measured delays; without I/O.

A switch that accepts more calls than its processor can carry gives bad audio to all of them. Under overload
this module admits calls at a rate that keeps the switch just below that point, and refuses the others before
any work. The rate follows the measurements in small steps, so that neither one stall nor one quiet moment
changes much (docs/adr/0016).
"""

from dataclasses import dataclass

LOOK_S = 0.1
"""Time between two measurements while calls come or run, seconds."""

LATE_SHARE = 0.4
"""Share of ticks begun too late at which the switch is overloaded, 0 to 1."""
LAG_S = 0.1
"""Delay of the event loop at which the switch is overloaded, seconds."""
AGE_S = 0.04
"""Wait of a message for the event loop at which the switch is overloaded, seconds."""

SMOOTHING = 0.3
"""Weight of the newest measurement in the smoothed pressure."""
WORST = 2.5
"""Upper bound of one measured pressure: a single bad one gives 0.3 * 2.5 = 0.75 and refuses no call."""
RELAXED = 0.7
"""Pressure below which the rate grows."""

SLOWEST = 2.0
"""Lowest rate, calls a second: without any call the recovery could not be measured."""
GROWTH, STEP = 0.04, 0.05
"""Growth of the rate with each relaxed measurement: a share of the rate, and calls a second."""
NEAR, PAST = 0.85, 1.1
"""Shares of the rate that was too high last (at which cuts began): between them the rate grows slowly."""
SLOW_GROWTH = 0.002
"""Growth of the rate with each relaxed measurement near that rate, as a share of the rate."""
CUT = 0.05
"""Largest share by which one measurement lowers the rate."""
FALLING = 0.97
"""Share of the last measured pressure below which the pressure counts as falling."""
BEGIN = 0.8
"""First rate as a share of the calls a second before the overload, which were too many."""
ROUND = 2
"""Calls admitted in one round of the event loop while shedding.

The set-up of a call waits for some ten rounds, and a round gets longer with each call that is in set-up. So
this bounds how many are: about twenty, whatever the machine. Calls that ring do not count, since they wait
for people.
"""
CALM_S = 3.0
"""Time without pressure and without a refused call after which shedding ends, seconds."""
REMEMBERED_S = 1.0
"""Time over which calls are counted for the first rate, seconds."""
WAIT_S = 3
"""Shortest Retry-After of a refused call, seconds."""
SPREAD_S = 5
"""Number of different Retry-After values, so that refused callers do not all return in the same second."""


@dataclass(frozen=True, slots=True)
class Signs:
    """Delays measured since the last measurement."""

    late_share: float = 0.0
    """Share of the media ticks that began too late or not at all, 0 to 1."""
    lag_s: float = 0.0
    """How late the event loop runs what is due, seconds."""
    age_s: float = 0.0
    """Longest time that a message waited before it was read, seconds."""

    @property
    def pressure(self) -> float:
        """Ratio of the worst delay to its bound; overload is above 1."""
        return max(self.late_share / LATE_SHARE, self.lag_s / LAG_S, self.age_s / AGE_S)


class Admission:
    """Admission of new calls; `now` is given in monotonic seconds and never decreases."""

    def __init__(self) -> None:

        self.is_shedding = False
        """Whether calls beyond :attr:`rate` are refused."""
        self.pressure = 0.0
        """Smoothed pressure; overload is above 1."""
        self.rate = 0.0
        """Calls a second that are admitted while :attr:`is_shedding`."""
        self.admitted = 0
        """Calls admitted since the start."""
        self.refused = 0
        """Calls refused since the start."""
        self.begun = 0
        """Overloads since the start."""
        self.has_rounds = False
        """Whether :meth:`next_round` follows each admitted call; otherwise :data:`ROUND` is no bound."""
        self._in_round = 0
        """Calls admitted in this round of the event loop, while :attr:`is_shedding`."""
        self._is_bounded = False
        """A call was refused because of :data:`ROUND`, not of the rate, since the last measurement."""
        self._too_high = 0.0
        """Rate at which the last cuts began, calls a second; 0: there were none."""
        self._is_cutting = False
        self._tokens = 0.0
        self._filled = 0.0
        self._recent = 0.0
        self._counted = 0.0
        self._calm_since = 0.0
        self._last = 0.0

    def look(self, signs: Signs, now: float) -> None:
        """Apply a measurement and adapt the rate."""
        self.pressure += SMOOTHING * (min(signs.pressure, WORST) - self.pressure)
        if not self.is_shedding:
            if self.pressure > 1.0:
                self._begin(now)
            return
        # Work that waits already takes its time to go away. While it shrinks the rate stays as it is, because
        # a lower one would leave the switch idle afterwards.
        is_bounded, self._is_bounded = self._is_bounded, False
        is_falling, self._last = signs.pressure < FALLING * self._last, signs.pressure
        if self.pressure > 1.0 and not is_falling:
            if not self._is_cutting:
                self._is_cutting, self._too_high = True, self.rate
            self.rate = max(SLOWEST, self.rate * (1.0 - CUT * min(self.pressure - 1.0, 1.0)))
        elif is_bounded:
            # The rate was not what refused calls: it would grow without a measure.
            self._is_cutting = False
        elif self.pressure < RELAXED or signs.pressure < RELAXED / 2:
            self._is_cutting = False
            is_near = NEAR * self._too_high < self.rate < PAST * self._too_high
            self.rate += (SLOW_GROWTH if is_near else GROWTH) * self.rate + STEP
        if self.pressure >= RELAXED:
            self._calm_since = now
        elif now - self._calm_since >= CALM_S:
            self.is_shedding = False

    def next_round(self) -> None:
        """Note that the event loop has begun another round."""
        self._in_round = 0

    def admits(self, now: float) -> bool:
        """Decide on one new call and count it."""
        if self.is_shedding:
            if self._in_round >= ROUND:
                self.refused += 1
                self._calm_since = now
                self._is_bounded = True
                return False
            # Tokens for at most a tenth of a second: a pause in the flood must not allow a burst after it.
            most = max(1.0, self.rate / 10)
            self._tokens = min(most, self._tokens + (now - self._filled) * self.rate)
            self._filled = now
            if self._tokens < 1.0:
                self.refused += 1
                self._calm_since = now
                return False
            self._tokens -= 1.0
            self._in_round += self.has_rounds
        self._count(now)
        self.admitted += 1
        return True

    @property
    def retry_after_s(self) -> int:
        """Retry-After of the call refused last, seconds."""
        return WAIT_S + self.refused % SPREAD_S

    def _begin(self, now: float) -> None:
        self.is_shedding = True
        self.begun += 1
        self._decay(now)
        # The count decays over REMEMBERED_S, so it estimates the calls within that time.
        self.rate = max(SLOWEST, BEGIN * self._recent / REMEMBERED_S)
        # What waits now came before the first rate: cuts because of it do not tell that it is too high.
        self._too_high, self._is_cutting = 0.0, True
        self._tokens, self._filled, self._calm_since = 0.0, now, now

    def _count(self, now: float) -> None:
        self._decay(now)
        self._recent += 1.0

    def _decay(self, now: float) -> None:
        self._recent *= max(0.0, 1.0 - min(1.0, (now - self._counted) / REMEMBERED_S))
        self._counted = now
