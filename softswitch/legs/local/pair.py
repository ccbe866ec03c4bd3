"""A pair of local legs that joins two calls of one switch: what one leg hears, the other one plays."""

from collections.abc import Callable

from softswitch.audio.pcm import BUS_RATE
from softswitch.call.interfaces import Endpoint, LegRequest
from softswitch.call.vocabulary.reports import LegAnswered, LegEnded, LegRejected, Report
from softswitch.legs.feed_port import FeedEngine, Listen
from softswitch.legs.local.echo_and_tone import PREBUFFER_MS, LocalEndpoint


class LocalPair:
    """Two endpoints that are each other's remote party; each becomes the endpoint of one leg."""

    def __init__(self, engine: FeedEngine, listen: Listen) -> None:
        self.near = PairEnd(engine, listen)
        self.far = PairEnd(engine, listen)
        self.near.other, self.far.other = self.far, self.near

    def connect(self) -> None:
        """Report that both legs are answered; one that ends from now on ends the other."""
        self.far.connect()
        self.near.connect()


class PairEnd(LocalEndpoint):
    """One endpoint of a pair; it is also the ``EndpointFactory`` that returns itself."""

    def __init__(self, engine: FeedEngine, listen: Listen) -> None:
        super().__init__(engine, listen)
        self.other: PairEnd
        self.on_answer: Callable[[], None] = lambda: None
        """Called when the leg is to answer or dial, after its port is open."""
        self._request: LegRequest | None = None
        self._report: Callable[[Report], None] | None = None

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Become the endpoint of a leg."""
        self._request, self._report = request, report
        return self

    def answer(self) -> None:
        """Open the port; the owner then calls :meth:`connect` or :meth:`refuse`."""
        if self._request is None:
            return
        self.port.open(
            self._request,
            "pcm",
            BUS_RATE,
            on_frame=self.other.port.feed,
            prebuffer_ms=PREBUFFER_MS,
            live=True,
        )
        self.on_answer()

    def connect(self) -> None:
        """Report that the leg is answered."""
        if self._request is not None:
            self._tell(LegAnswered(self._request.leg, "", "pcm", BUS_RATE, 20))

    def refuse(self, code: int, reason: str) -> None:
        """Report that the other call refused the leg, with a SIP status code."""
        if self._request is not None:
            self._tell(LegRejected(self._request.leg, code, reason))

    def dtmf(self, digits: str) -> None:
        """Play digits as tones."""
        self.port.send_tones(digits)

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the port and report the end to the other leg; further calls do nothing."""
        self._report = None
        self.port.close()
        self.other.ended()

    def ended(self) -> None:
        """Report that the other leg has ended."""
        if self._request is not None:
            self._tell(LegEnded(self._request.leg, "callee", "callee"))

    def _tell(self, report: Report) -> None:
        if self._report is not None:
            self._report(report)
