"""Parties that live in the switch itself: one that says everything back, one that hums a tone."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from softswitch.audio.pcm import BUS_RATE
from softswitch.call.needs import Candidate, EndpointFactory, LegRequest
from softswitch.call.reports import LegAnswered, Report
from softswitch.endpoints.websocket import Media
from softswitch.media import messages as m

TONE_HZ = 440
TONE_LEVEL = 8000
"""Amplitude in PCM16 units: -12 dBFS."""


class _LocalEndpoint:
    """What both have in common: a feed port and nothing outside."""

    def __init__(
        self,
        request: LegRequest,
        report: Callable[[Report], None],
        engine: Media,
        hear: Callable[[int, Callable[[bytes], None]], None],
    ) -> None:
        self._request = request
        self._report = report
        self._engine = engine
        self._hear = hear
        self._open = False

    def ring(self, early_media: bool = False) -> None:
        """Do nothing: nobody has to be alerted."""

    def answer(self) -> None:
        """Open the port and answer."""
        self._open = True
        self._engine.post(
            m.AddFeedPort(self._request.port, self._request.mix, "pcm", BUS_RATE, prebuffer_ms=20)
        )
        self._begin()
        self._report(LegAnswered(self._request.leg, "", "pcm", BUS_RATE, 20))

    def offer(self, sdp: str) -> None:
        """Do nothing: there is no SDP here."""

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Do nothing: there is no ICE here."""

    def dtmf(self, digits: str) -> None:
        """Do nothing: nobody listens for digits."""

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the port; idempotent."""
        if self._open:
            self._open = False
            self._engine.post(m.RemovePort(self._request.port))

    async def closed(self) -> None:
        """Return at once: nothing else is held."""

    def _begin(self) -> None:
        raise TypeError("a local endpoint begins in its own way")


class EchoEndpoint(_LocalEndpoint):
    """Says back what it hears."""

    def _begin(self) -> None:
        self._hear(self._request.port, self._back)

    def _back(self, pcm: bytes) -> None:
        if self._open:
            self._engine.feed(self._request.port, pcm)


class ToneEndpoint(_LocalEndpoint):
    """Hums 440 Hz; deaf."""

    def _begin(self) -> None:
        self._hum()

    def _hum(self) -> None:
        """Feed one second (a whole number of waves, so that seconds join without a click), and come back."""
        if not self._open:
            return
        self._engine.feed(self._request.port, _SECOND)
        asyncio.get_running_loop().call_later(1.0, self._hum)


_SECOND = (TONE_LEVEL * np.sin(2 * np.pi * TONE_HZ * np.arange(BUS_RATE) / BUS_RATE)).astype("<i2").tobytes()


def local_dialers(
    engine: Media, hear: Callable[[int, Callable[[bytes], None]], None]
) -> dict[str, EndpointFactory]:
    """Return the factories of local parties by the callee that names them."""
    return {
        "echo": lambda request, report: EchoEndpoint(request, report, engine, hear),
        "tone": lambda request, report: ToneEndpoint(request, report, engine, hear),
    }
