"""Local legs that need no second party: an echo and a test tone, dialled as `echo` and `tone`."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from softswitch.audio.pcm import BUS_RATE
from softswitch.call.interfaces import EndpointFactory, LegRequest
from softswitch.call.vocabulary.reports import LegAnswered, Report
from softswitch.call.vocabulary.values import Candidate
from softswitch.legs.feed_port import FeedEngine, FeedPort, Listen

TONE_HZ = 440
TONE_LEVEL = 8000
"""Amplitude in PCM16 units: -12 dBFS."""
PREBUFFER_MS = 20


class LocalEndpoint:
    """Base of local endpoints: a feed port, and commands that have no meaning without a remote party."""

    def __init__(self, engine: FeedEngine, listen: Listen) -> None:
        self.port = FeedPort(engine, listen)

    def ring(self, early_media: bool = False) -> None:
        """Do nothing: there is no device to alert."""

    def offer(self, sdp: str) -> None:
        """Do nothing: the leg has no SDP."""

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Do nothing: the leg has no ICE."""

    def dtmf(self, digits: str) -> None:
        """Do nothing: digits have no receiver."""

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the port; further calls do nothing."""
        self.port.close()

    async def closed(self) -> None:
        """Return at once: the leg holds nothing that needs waiting."""


class EchoEndpoint(LocalEndpoint):
    """A leg that plays back the audio it hears."""

    def __init__(
        self, request: LegRequest, report: Callable[[Report], None], engine: FeedEngine, listen: Listen
    ) -> None:
        super().__init__(engine, listen)
        self._request, self._report = request, report

    def answer(self) -> None:
        """Open the port and report the answer."""
        self.port.open(
            self._request,
            "pcm",
            BUS_RATE,
            on_frame=self.port.feed,
            prebuffer_ms=PREBUFFER_MS,
            live=True,
        )
        self._report(LegAnswered(self._request.leg, "", "pcm", BUS_RATE, 20))


class ToneEndpoint(LocalEndpoint):
    """A leg that plays a 440 Hz tone and listens to nothing."""

    def __init__(
        self, request: LegRequest, report: Callable[[Report], None], engine: FeedEngine, listen: Listen
    ) -> None:
        super().__init__(engine, listen)
        self._request, self._report = request, report
        self._due = 0.0
        """Time of the loop at which the next second is to be fed."""

    def answer(self) -> None:
        """Open the port, report the answer and start the tone."""
        self.port.open(self._request, "pcm", BUS_RATE, prebuffer_ms=PREBUFFER_MS, live=False)
        self.port.feed(_SECOND)  # The loop may be that late without a gap.
        self._due = asyncio.get_running_loop().time()
        self._feed_second()
        self._report(LegAnswered(self._request.leg, "", "pcm", BUS_RATE, 20))

    def _feed_second(self) -> None:
        """Feed one second of the tone, and schedule the next: at its own time, however late this one is.

        A second has a whole number of waves, so that seconds join without a click.
        """
        if self.port.is_open:
            self.port.feed(_SECOND)
            self._due += 1.0
            asyncio.get_running_loop().call_at(self._due, self._feed_second)


_SECOND = (TONE_LEVEL * np.sin(2 * np.pi * TONE_HZ * np.arange(BUS_RATE) / BUS_RATE)).astype("<i2").tobytes()


def local_dialers(engine: FeedEngine, listen: Listen) -> dict[str, EndpointFactory]:
    """Return the factories of local endpoints by the callee that names them."""
    return {
        "echo": lambda request, report: EchoEndpoint(request, report, engine, listen),
        "tone": lambda request, report: ToneEndpoint(request, report, engine, listen),
    }
