"""Absence of a client whose socket carries the audio: it does not hear what is played meanwhile."""

from collections import deque

KEPT = 64
"""Stretches of sound that are remembered: some had left before the loss was noticed."""


class Sounding:
    """When one playback sounded, and how much of that fell into an absence; monotonic seconds."""

    __slots__ = ("_last", "background", "since", "sounded_s", "unheard_s")

    def __init__(self) -> None:
        """Start silent."""
        self.background = False
        """Whether nothing is missed of it."""
        self.since: float | None = None
        """When it began to sound; None: it is silent."""
        self.sounded_s = 0.0
        """How long it has sounded, the present stretch excluded."""
        self.unheard_s = 0.0
        """How much of that the client did not hear."""
        self._last = (0.0, 0.0)

    def begin(self, now: float) -> None:
        """Note that it sounds; does nothing if it does already."""
        if self.since is None:
            self.since = now

    def end(self, now: float, absence: "Absence") -> None:
        """Note that it is silent or paused; does nothing if it is already."""
        if self.since is None:
            return
        self._last = self.since, now
        self.since = None
        self.sounded_s += now - self._last[0]
        if not self.background:
            self.unheard_s += absence.share(*self._last)
            absence.sounded(*self._last)

    def revise(self, absence: "Absence") -> None:
        """Count the last stretch again: the client was away before the loss was noticed."""
        if not self.background:
            self.unheard_s += absence.share(*self._last)

    def heard_ms(self, played_ms: int) -> int:
        """Return how much was heard of so much that was played."""
        return max(0, played_ms - self.unheard_ms)

    @property
    def unheard_ms(self) -> int:
        """How much the client did not hear, in milliseconds."""
        return round(self.unheard_s * 1000)


class Absence:
    """Whether the client is away, and since when."""

    def __init__(self) -> None:
        """Start with the client present."""
        self.since: float | None = None
        self._stretches: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def sounded(self, begin: float, end: float) -> None:
        """Note a stretch of sound of any playback."""
        self._stretches.append((begin, end))

    def share(self, begin: float, end: float) -> float:
        """Return how much of a stretch falls into the absence, in seconds."""
        if self.since is None:
            return 0.0
        return max(0.0, end - max(begin, self.since))

    def total_ms(self) -> int:
        """Return how much of all playbacks the client did not hear this time, in milliseconds."""
        return round(1000 * sum(self.share(*stretch) for stretch in self._stretches))
