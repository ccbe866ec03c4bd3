"""When a call ends by itself: no answer, no media, nobody does anything, it has lasted too long."""

import msgspec

from softswitch.call.state import State


class CallLimits(msgspec.Struct, frozen=True):
    """Times after which a call is not kept alive."""

    setup_s: float = 30.0
    max_duration_s: float = 14400.0
    media_start_s: float = 30.0
    """Without any media from the start."""
    media_s: float = 15.0
    """Without media later on."""


class MediaWatch:
    """When a leg that says nothing is given up."""

    def __init__(self, limits: CallLimits) -> None:
        """Watch a leg that was not answered yet."""
        self.due: float | None = None
        self._limits = limits
        self._began: float | None = None
        self._held = False

    def begin(self, now: float) -> None:
        """Watch a leg that was answered just now."""
        self._began, self._held, self.due = now, False, None

    def hold(self, held: bool) -> None:
        """Note that the far end holds the call, when nothing has to come from it, or takes it back."""
        self._held = held
        self.due = None

    def silent(self, seconds: float, now: float) -> None:
        """Note that no media has come for so long."""
        if self._held:
            return
        early = self._began is None or now - self._began < self._limits.media_start_s
        patience = self._limits.media_start_s if early else self._limits.media_s
        self.due = now + max(0.0, patience - seconds)

    def resumed(self) -> None:
        """Note that media comes."""
        self.due = None


class Lifetime:
    """The times of one call; all of them monotonic seconds."""

    def __init__(self, limits: CallLimits, now: float) -> None:
        """Start with the creation of the call."""
        self.limits = limits
        self.created = now
        self._max_duration_s = limits.max_duration_s
        self.answered: float | None = None
        self.ended: float | None = None
        self.active = now
        """When somebody did something last."""
        self._setup_due = now + limits.setup_s
        self._accept_due: float | None = None
        self.inactivity_s: float | None = None
        self._hangup_at: float | None = None
        self.media = MediaWatch(limits)

    def accept_within(self, seconds: float | None, now: float) -> None:
        """Let a caller wait so long for somebody to accept; None: for as long as he likes."""
        self._accept_due = None if seconds is None else now + seconds

    def set_up(self, seconds: float | None, inactivity_s: float | None, now: float) -> None:
        """Begin to set the call up: what the invite allows for being answered, and for doing nothing."""
        self._setup_due = now + (seconds or self.limits.setup_s)
        self.inactivity_s = inactivity_s

    def last_at_most(self, seconds: float | None) -> None:
        """End the call so long after its answer, if it may last that long at all."""
        if seconds is not None:
            self._max_duration_s = min(seconds, self.limits.max_duration_s)

    def hang_up_in(self, seconds: float, now: float) -> None:
        """End the call soon, once what was sent has reached the far end's ear."""
        self._hangup_at = now + seconds

    def ends(self, state: State, busy: bool) -> list[tuple[float, str]]:
        """Return when the call would end, and for which reason.

        Args:
            state: Where the call stands.
            busy: Whether the machine is speaking: then nobody is inactive.
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
