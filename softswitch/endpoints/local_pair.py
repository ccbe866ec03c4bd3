"""Two parties that are each other: what one hears, the other says. It joins two calls of one switch."""

from collections.abc import Callable, Sequence

from softswitch.audio.pcm import BUS_RATE
from softswitch.call.needs import Candidate, Endpoint, LegRequest
from softswitch.call.reports import LegAnswered, LegEnded, LegRejected, Report
from softswitch.endpoints.websocket import Media
from softswitch.media import messages as m

PREBUFFER_MS = 20


class LocalPair:
    """Makes both ends; each is the endpoint of one leg."""

    def __init__(self, engine: Media, hear: Callable[[int, Callable[[bytes], None]], None]) -> None:
        """Make a pair whose ends nobody has asked for yet.

        Args:
            engine: The media engine.
            hear: Routes the frames of a port.
        """
        self.near = PairEnd(engine, hear)
        self.far = PairEnd(engine, hear)
        self.near.other, self.far.other = self.far, self.near


class PairEnd:
    """One end (an ``EndpointFactory`` that makes itself, and the ``Endpoint`` it makes)."""

    def __init__(self, engine: Media, hear: Callable[[int, Callable[[bytes], None]], None]) -> None:
        self.other: PairEnd
        self.on_answer: Callable[[], None] = lambda: None
        """Called when the leg shall answer or dial, after its port is open."""
        self._engine, self._hear = engine, hear
        self._request: LegRequest | None = None
        self._report: Callable[[Report], None] | None = None
        self._port = 0

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Become the endpoint of a leg."""
        self._request, self._report = request, report
        return self

    def ring(self, early_media: bool = False) -> None:
        """Do nothing: nobody has to be alerted."""

    def answer(self) -> None:
        """Open the port; :meth:`connect` or :meth:`refuse` says what comes of the call."""
        if self._request is None:
            return
        self._port = self._request.port
        order = m.AddFeedPort(self._port, self._request.mix, "pcm", BUS_RATE, prebuffer_ms=PREBUFFER_MS)
        self._engine.post(order)
        self._hear(self._port, self.other.say)
        self.on_answer()

    def connect(self) -> None:
        """Report that the leg is answered."""
        if self._request is not None:
            self._tell(LegAnswered(self._request.leg, "", "pcm", BUS_RATE, 20))

    def refuse(self, code: int, reason: str) -> None:
        """Report that nobody is there."""
        if self._request is not None:
            self._tell(LegRejected(self._request.leg, code, reason))

    def say(self, pcm: bytes) -> None:
        """Say what the other end hears."""
        if self._port:
            self._engine.feed(self._port, pcm)

    def offer(self, sdp: str) -> None:
        """Do nothing: there is no SDP here."""

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Do nothing: there is no ICE here."""

    def dtmf(self, digits: str) -> None:
        """Send digits as tones."""
        if self._port:
            self._engine.post(m.SendDigits(self._port, digits))

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the port, and let the other end know; idempotent."""
        self._report = None
        if self._port:
            port, self._port = self._port, 0
            self._engine.post(m.RemovePort(port))
        self.other.ended()

    def ended(self) -> None:
        """Report that the other end has gone."""
        if self._request is not None:
            self._tell(LegEnded(self._request.leg, "callee", "callee"))

    async def closed(self) -> None:
        """Return at once: nothing else is held."""

    def _tell(self, report: Report) -> None:
        if self._report is not None:
            self._report(report)
