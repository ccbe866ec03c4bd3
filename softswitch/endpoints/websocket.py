"""A leg whose audio travels in binary messages of the client's own WebSocket (``/call``)."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, cast, get_args

from softswitch.call.needs import Candidate, LegRequest
from softswitch.call.reports import LegAnswered, LegFailed, LegWarned, Report
from softswitch.media import messages as m

Codec = Literal["pcm", "pcmu", "pcma", "g722"]
_RATES = {"pcmu": 8000, "pcma": 8000, "g722": 16000}


class Media(Protocol):
    """The part of the engine that this endpoint uses."""

    def post(self, message: m.Message) -> None:
        """Tell the engine something."""

    def feed(self, port: int, data: bytes) -> None:
        """Give a feed port audio."""


class WebSocketEndpoint:
    """Carries a leg as binary messages of the negotiated codec, of any size, without a header."""

    def __init__(
        self,
        request: LegRequest,
        report: Callable[[Report], None],
        engine: Media,
        hear: Callable[[int, Callable[[bytes], None]], None],
        send: Callable[[bytes], None],
        *,
        buffer_ms: int = 60000,
        prebuffer_ms: int = 60,
    ) -> None:
        """Prepare.

        Args:
            request: What the leg is to be.
            report: Tells the call.
            engine: The media engine.
            hear: Routes the frames of a port.
            send: Sends one binary message to the client; never blocks.
            buffer_ms: Audio that a client may send ahead.
            prebuffer_ms: Audio that is collected before it sounds.
        """
        self._request = request
        self._report = report
        self._engine = engine
        self._hear = hear
        self._send = send
        self._buffer_ms = buffer_ms
        self._prebuffer_ms = prebuffer_ms
        self._open = False

    def ring(self, early_media: bool = False) -> None:
        """Do nothing: the client itself is the party."""

    def answer(self) -> None:
        """Open the port."""
        codec = self._request.codec or "pcm"
        if codec not in get_args(Codec):
            known = ", ".join(get_args(Codec))
            self._report(
                LegFailed(self._request.leg, "invite", f"option.codec: {codec!r} is not one of {known}", 400)
            )
            return
        rate = _RATES.get(codec, self._request.sample_rate)
        self._engine.post(
            m.AddFeedPort(
                self._request.port,
                self._request.mix,
                cast("Codec", codec),
                rate,
                buffer_ms=self._buffer_ms,
                prebuffer_ms=self._prebuffer_ms,
            )
        )
        self._open = True
        self._hear(self._request.port, self._send)
        self._report(LegAnswered(self._request.leg, "", codec, rate, 20))

    def feed(self, data: bytes) -> None:
        """Take audio from the client."""
        if self._open and data:
            self._engine.feed(self._request.port, data)

    def offer(self, sdp: str) -> None:
        """Refuse: there is no SDP here."""
        self._report(LegWarned(self._request.leg, "command", "offer: this call has no SDP", 400))

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Refuse: there is no ICE here."""
        self._report(LegWarned(self._request.leg, "command", "candidate: this call has no ICE", 400))

    def dtmf(self, digits: str) -> None:
        """Send digits as tones."""
        if self._open:
            self._engine.post(m.SendDigits(self._request.port, digits))

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the port; idempotent."""
        if self._open:
            self._open = False
            self._engine.post(m.RemovePort(self._request.port))

    async def closed(self) -> None:
        """Return at once: nothing else is held."""
