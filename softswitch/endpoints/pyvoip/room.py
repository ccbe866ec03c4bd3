"""How many calls there may be: 30 on pyVoIP all together, and what each trunk allows."""

import threading
import time
from collections.abc import Callable, Sequence

from softswitch.endpoints.pyvoip.account import MAX_CALLS
from softswitch.errors import NotNowError
from softswitch.settings import Trunk
from softswitch.sip.guard import Rate


class FullError(NotNowError):
    """Say that there is no room for one more call."""

    def __init__(self, message: str, *, trunk: str = "") -> None:
        super().__init__(message, retry_after_s=10.0)
        self.trunk = trunk
        """The trunk whose bound it is; "" where it is that of pyVoIP."""


class Room:
    """Counts calls; every thread of pyVoIP and the loop ask it."""

    def __init__(
        self, trunks: Sequence[Trunk], most: int = MAX_CALLS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin empty.

        Args:
            trunks: with their bounds.
            most: calls of all together.
            clock: monotonic seconds.
        """
        self._trunks = {trunk.name: trunk for trunk in trunks}
        self._rates = {trunk.name: Rate(trunk.calls_per_second) for trunk in trunks}
        self.most = most
        self._clock = clock
        self._lock = threading.Lock()
        self.is_closed = False
        """The switch goes down: nobody gets in any more."""
        self.calls = dict.fromkeys(["", *self._trunks], 0)
        """Calls now, by trunk; those of none under ""."""
        self.refused = dict.fromkeys(self.calls, 0)
        """Calls for which there was no room."""

    @property
    def total(self) -> int:
        """Return how many calls there are."""
        return sum(self.calls.values())

    def enter(self, name: str) -> None:
        """Take the room of one call of a trunk ("" for none).

        Raises:
            FullError: there is none.
        """
        with self._lock:
            try:
                self._check(name)
            except FullError:
                self.refused[name] += 1
                raise
            self.calls[name] += 1

    def leave(self, name: str) -> None:
        """Give it back."""
        with self._lock:
            self.calls[name] -= 1

    def _check(self, name: str) -> None:
        if self.is_closed:
            raise FullError("the switch is going down")
        if self.total >= self.most:
            raise FullError(
                f'pyVoIP carries {self.most} calls at once, and has them; engine = "builtin" carries more'
            )
        trunk = self._trunks.get(name)
        if trunk is None:
            return
        if trunk.max_calls and self.calls[name] >= trunk.max_calls:
            raise FullError(f"trunk {name}: {trunk.max_calls} calls at once (max_calls)", trunk=name)
        if not self._rates[name].take(self._clock()):
            raise FullError(f"trunk {name}: too many calls in this second (calls_per_second)", trunk=name)
