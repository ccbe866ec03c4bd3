"""Deadlines after which a call ends by itself: no answer, no media, no activity, maximum duration."""

import msgspec

from softswitch.call.state import State


class CallLimits(msgspec.Struct, frozen=True):
    """Timeouts of a call in seconds, and what the settings say of a hold."""

    setup_s: float = 30.0
    """Until the answer, where the invite names no time."""
    max_duration_s: float = 14400.0
    """From the answer."""
    media_start_s: float = 30.0
    """Without media, within this time after the answer."""
    media_s: float = 15.0
    """Without media, later on."""
    hold_music: bool = True
    """Whether a party that waits hears music."""


class MediaWatch:
    """Deadline of a leg that sends no media."""

    def __init__(self, limits: CallLimits) -> None:

        self.due: float | None = None
        self._limits = limits
        self._began: float | None = None
        self._held = False

    def begin(self, now: float) -> None:
        """Start the watch: the leg was answered at ``now``."""
        self._began, self._held, self.due = now, False, None

    def hold(self, held: bool) -> None:
        """Suspend the watch while the peer holds the call: it need not send media then."""
        self._held = held
        self.due = None

    def silent(self, seconds: float, now: float) -> None:
        """Set the deadline: no media has arrived for ``seconds``."""
        if self._held:
            return
        early = self._began is None or now - self._began < self._limits.media_start_s
        patience = self._limits.media_start_s if early else self._limits.media_s
        self.due = now + max(0.0, patience - seconds)

    def resumed(self) -> None:
        """Clear the deadline: media arrives."""
        self.due = None


class Lifetime:
    """Times and deadlines of one call, monotonic seconds."""

    def __init__(self, limits: CallLimits, now: float) -> None:

        self.limits = limits
        self.created = now
        self._max_duration_s = limits.max_duration_s
        self.answered: float | None = None
        self.ended: float | None = None
        self.active = now
        """Time of the last activity of a client or the party."""
        self._setup_due = now + limits.setup_s
        self._accept_due: float | None = None
        self.inactivity_s: float | None = None
        self._hangup_at: float | None = None
        self.media = MediaWatch(limits)

    def accept_within(self, seconds: float | None, now: float) -> None:
        """Bound the time that a caller waits for an application; None: no bound."""
        self._accept_due = None if seconds is None else now + seconds

    def set_up(self, seconds: float | None, inactivity_s: float | None, now: float) -> None:
        """Start the setup.

        Args:
            seconds: Longest time until the answer; None: that of the limits.
            inactivity_s: Longest time without activity; None: no bound.
            now: Monotonic seconds.
        """
        self._setup_due = now + (seconds or self.limits.setup_s)
        self.inactivity_s = inactivity_s

    def last_at_most(self, seconds: float | None) -> None:
        """Bound the duration of the call; the limit of the settings still applies. None: only that limit."""
        if seconds is not None:
            self._max_duration_s = min(seconds, self.limits.max_duration_s)

    def hang_up_in(self, seconds: float, now: float) -> None:
        """End the call ``seconds`` from ``now``, when the audio sent so far has been heard."""
        self._hangup_at = now + seconds

    def due(self, state: State, busy: bool) -> float | None:
        """Return the earliest deadline of :meth:`ends`, which has the same arguments; None: nothing is due.

        It is asked for after each report, and an end that is due by time is rare: this makes no list.
        """
        due = None if self.answered is None else self.answered + self._max_duration_s
        if state is not State.UP:
            setting_up = state in (State.SETUP, State.RINGING)
            due = _earlier(due, self._setup_due if setting_up else None)
            due = _earlier(due, self._accept_due if state is State.PENDING else None)
        elif self.inactivity_s is not None and not busy:
            due = _earlier(due, self.active + self.inactivity_s)
        if self._hangup_at is not None:
            due = _earlier(due, self._hangup_at)
        return due if self.media.due is None else _earlier(due, self.media.due)

    def ends(self, state: State, busy: bool) -> list[tuple[float, str]]:
        """Return each deadline with the reason of the end.

        Args:
            state: State of the call.
            busy: Whether a playback sounds, which counts as activity.
        """
        ends: list[tuple[float, str]] = []
        if self._hangup_at is not None:
            ends.append((self._hangup_at, "autohangup"))
        if state in (State.SETUP, State.RINGING):
            ends.append((self._setup_due, "no_answer"))
        if state is State.PENDING and self._accept_due is not None:
            ends.append((self._accept_due, "no_answer"))
        if self.media.due is not None:
            ends.append((self.media.due, "media_timeout"))
        if self.answered is not None:
            ends.append((self.answered + self._max_duration_s, "max_duration"))
        if state is State.UP and self.inactivity_s is not None and not busy:
            ends.append((self.active + self.inactivity_s, "inactivity"))
        return ends


def _earlier(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
