"""A leg whose audio travels in binary messages of the client's WebSocket (`/call`)."""

from collections.abc import Callable, Sequence
from typing import cast, get_args

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import LegAnswered, LegFailed, LegWarned, Report
from softswitch.call.vocabulary.values import Candidate
from softswitch.legs.feed_port import BUFFER_MS, Codec, FeedEngine, FeedPort, Listen

_RATES = {"pcmu": 8000, "pcma": 8000, "g722": 16000}


def _nothing() -> None:
    pass


class WebSocketEndpoint:
    """Endpoint of a leg whose binary messages have the negotiated codec, any size and no header."""

    def __init__(
        self,
        request: LegRequest,
        report: Callable[[Report], None],
        engine: FeedEngine,
        listen: Listen,
        send: Callable[[bytes], None],
        *,
        buffer_ms: int = BUFFER_MS,
        prebuffer_ms: int = 60,
        on_open: Callable[[], None] = _nothing,
        on_close: Callable[[], None] = _nothing,
    ) -> None:
        """Prepare; `answer` opens the port.

        Args:
            request: parameters of the leg.
            report: takes the reports of the leg.
            engine: the media engine.
            listen: routes the frames of a port.
            send: sends one binary message to the client; never blocks.
            buffer_ms: audio that a client may send ahead, in milliseconds.
            prebuffer_ms: audio that is collected before it sounds, in milliseconds.
            on_open: called when the port was opened.
            on_close: called before the port is closed.
        """
        self._on_open, self._on_close = on_open, on_close
        self._request = request
        self._report = report
        self._port = FeedPort(engine, listen)
        self._send = send
        self._buffer_ms = buffer_ms
        self._prebuffer_ms = prebuffer_ms

    def ring(self, early_media: bool = False) -> None:
        """Do nothing: the client itself is the party."""

    def answer(self) -> None:
        """Open the port; `LegAnswered` follows, or `LegFailed` for an unknown codec."""
        codec = self._request.codec or "pcm"
        if codec not in get_args(Codec):
            known = ", ".join(get_args(Codec))
            self._report(
                LegFailed(self._request.leg, "invite", f"option.codec: {codec!r} is not one of {known}", 400)
            )
            return
        rate = _RATES.get(codec, self._request.sample_rate)
        self._port.open(
            self._request,
            cast("Codec", codec),
            rate,
            on_frame=self._send,
            buffer_ms=self._buffer_ms,
            prebuffer_ms=self._prebuffer_ms,
            live=self._request.live,
        )
        self._on_open()
        self._report(LegAnswered(self._request.leg, "", codec, rate, 20))

    @property
    def port(self) -> int:
        """Number of the open port; 0 while it is closed."""
        return self._port.number

    def feed(self, data: bytes) -> None:
        """Play audio of the client."""
        if data:
            self._port.feed(data)

    def offer(self, sdp: str) -> None:
        """Refuse: the leg has no SDP."""
        self._report(LegWarned(self._request.leg, "command", "offer: this call has no SDP", 400))

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Refuse: the leg has no ICE."""
        self._report(LegWarned(self._request.leg, "command", "candidate: this call has no ICE", 400))

    def dtmf(self, digits: str) -> None:
        """Play digits as tones."""
        self._port.send_tones(digits)

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the port; further calls do nothing."""
        self._on_close()
        self._port.close()

    async def closed(self) -> None:
        """Return at once: the leg holds nothing that needs waiting."""
