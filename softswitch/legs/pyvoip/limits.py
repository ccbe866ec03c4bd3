"""Limits of pyVoIP calls: 30 of all telephones together, and those of each trunk."""

import threading
import time
from collections.abc import Callable, Sequence

from softswitch.errors import NotNowError
from softswitch.legs.pyvoip.account import MAX_CALLS
from softswitch.settings import Trunk
from softswitch.sip.security.guard import Rate


class FullError(NotNowError):
    """A limit of calls is reached."""

    def __init__(self, message: str, *, trunk: str = "") -> None:
        super().__init__(message, retry_after_s=10.0)
        self.trunk = trunk
        """Trunk whose limit is reached; "" for that of pyVoIP."""


class CallLimits:
    """Counter of pyVoIP calls; used by every thread of pyVoIP and by the loop."""

    def __init__(
        self, trunks: Sequence[Trunk], most: int = MAX_CALLS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin without calls.

        Args:
            trunks: trunks with their limits.
            most: limit of all calls together.
            clock: monotonic seconds.
        """
        self._trunks = {trunk.name: trunk for trunk in trunks}
        self._rates = {trunk.name: Rate(trunk.calls_per_second) for trunk in trunks}
        self.most = most
        self._clock = clock
        self._lock = threading.Lock()
        self.is_closed = False
        """New calls are refused: the switch is shutting down."""
        self.calls = dict.fromkeys(["", *self._trunks], 0)
        """Present calls by trunk; "" for those without a trunk."""
        self.refused = dict.fromkeys(self.calls, 0)
        """Calls refused by a limit, by trunk."""

    @property
    def total(self) -> int:
        """Return the number of present calls."""
        return sum(self.calls.values())

    def acquire(self, name: str) -> None:
        """Count one more call of a trunk ("" for none).

        Raises:
            FullError: a limit is reached.
        """
        with self._lock:
            try:
                self._check(name)
            except FullError:
                self.refused[name] += 1
                raise
            self.calls[name] += 1

    def release(self, name: str) -> None:
        """End the count of a call."""
        with self._lock:
            self.calls[name] -= 1

    def _check(self, name: str) -> None:
        if self.is_closed:
            raise FullError("the switch is shutting down")
        if self.total >= self.most:
            raise FullError(f'pyVoIP: the limit of {self.most} calls is reached; engine = "builtin" has none')
        trunk = self._trunks.get(name)
        if trunk is None:
            return
        if trunk.max_calls and self.calls[name] >= trunk.max_calls:
            raise FullError(
                f"trunk {name}: {trunk.max_calls} calls are active, the limit of max_calls", trunk=name
            )
        if not self._rates[name].take(self._clock()):
            raise FullError(f"trunk {name}: the limit of calls_per_second is reached", trunk=name)
