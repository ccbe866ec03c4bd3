"""What is counted of each provider: work under way against its bound, and what the vendor bills."""

from dataclasses import dataclass

from softswitch.speech.interface import SpeechBusyError


@dataclass(slots=True)
class ProviderCounters:
    """The numbers of one provider since the start."""

    characters: int = 0
    """Text given to be spoken."""
    seconds: float = 0.0
    """Audio given to be recognised."""
    active: int = 0
    """Recognitions and syntheses under way."""
    requests: int = 0
    """Recognitions and syntheses begun."""
    busy: int = 0
    """Refused since `concurrency` is reached, by us or by the vendor."""
    failed: int = 0
    """Ended by a failure."""
    reconnects: int = 0
    """Connections opened anew within a recognition or synthesis."""
    unreadable: int = 0
    """Messages of the vendor that are not of its protocol."""
    dropped_ms: int = 0
    """Audio dropped while the vendor took none."""
    outputs_dropped: int = 0
    """Texts dropped since the call read none."""
    cancelled: int = 0
    """Syntheses stopped before their end."""


class Concurrency:
    """Bounds the work under way with one provider."""

    def __init__(self, name: str, most: int, counters: ProviderCounters) -> None:
        """Begin with none.

        Args:
            name: of the provider, for the text of the refusal.
            most: recognitions and syntheses at once; 0: no bound.
            counters: where it is counted.
        """
        self._name = name
        self._most = most
        self.counters = counters

    def check(self) -> None:
        """Refuse where the bound is reached.

        Raises:
            SpeechBusyError: the bound is reached.
        """
        if self._most and self.counters.active >= self._most:
            self.counters.busy += 1
            raise SpeechBusyError(
                f"provider {self._name!r} is busy: {self._most} requests are under way "
                "(concurrency in its [[speech.provider]])"
            )

    def begin(self) -> None:
        """Count a beginning; raises as :meth:`check` does."""
        self.check()
        self.counters.active += 1
        self.counters.requests += 1

    def end(self) -> None:
        """Count an end."""
        self.counters.active -= 1
