"""Keep-alives to phones behind a NAT: which are due, and which phones do not answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from softswitch.sip.registrar.bindings import Binding
from softswitch.sip.transaction.flow import Flow

MOST = 100
"""Keep-alives of one round; further ones wait for the next round, so that no round holds the loop."""
MISSED = 2
"""Keep-alives without a response, one after the other, of a phone that is shown as silent."""


@dataclass(slots=True)
class _Beat:
    """The keep-alives of one flow."""

    due: float
    """Monotonic seconds."""
    waits: bool = False
    """Whether a response is outstanding."""
    missed: int = 0


class Pulse:
    """The state of all keep-alives, by the flow of the phone."""

    def __init__(self, period_s: float) -> None:
        """Begin without phones.

        Args:
            period_s: seconds between two keep-alives of a phone; 0: none are sent.
        """
        self._period_s = period_s
        self._beats: dict[Flow, _Beat] = {}

    def due(self, bindings: Sequence[Binding], now: float) -> list[Binding]:
        """Return the phones that get a keep-alive now; phones that are not registered any longer are dropped.

        Args:
            bindings: registrations of all phones behind a NAT.
            now: monotonic seconds.
        """
        if not self._period_s:
            return []
        present = {binding.flow for binding in bindings}
        for flow in [flow for flow in self._beats if flow not in present]:
            del self._beats[flow]
        found: list[Binding] = []
        for binding in bindings:
            beat = self._beats.setdefault(binding.flow, _Beat(now + self._period_s))
            if beat.due <= now and not beat.waits and len(found) < MOST:
                beat.due, beat.waits = now + self._period_s, True
                found.append(binding)
        return found

    def answered(self, binding: Binding, *, by_peer: bool) -> None:
        """Record the outcome of a keep-alive; any response of the peer counts, a refusal too."""
        beat = self._beats.get(binding.flow)
        if beat is not None:
            beat.waits = False
            beat.missed = 0 if by_peer else beat.missed + 1

    def is_silent(self, binding: Binding) -> bool:
        """Tell whether a phone has left its last keep-alives without a response."""
        beat = self._beats.get(binding.flow)
        return beat is not None and beat.missed >= MISSED

    @property
    def silent(self) -> int:
        """Return the number of phones that are silent."""
        return sum(beat.missed >= MISSED for beat in self._beats.values())
