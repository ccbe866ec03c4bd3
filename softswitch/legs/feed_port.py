"""Feed ports of the media engine, as legs without RTP sockets use them: WebSocket, local and pyVoIP legs."""

from collections.abc import Callable
from typing import Literal, Protocol

from softswitch.call.interfaces import LegRequest
from softswitch.media import messages as m

BUFFER_MS = 60_000
"""Audio that may wait in a port whose source sends ahead, in milliseconds."""

Codec = Literal["pcm", "pcmu", "pcma", "g722"]
Listen = Callable[[int, Callable[[bytes], None]], None]
"""Routes the frames that a port hears, 20 ms each, to a function (`Routes.frames`)."""


class FeedEngine(Protocol):
    """The part of the media engine that feed ports use."""

    def post(self, message: m.Message) -> None:
        """Queue a message for the engine; it takes effect with the next tick."""

    def feed(self, port: int, data: bytes) -> None:
        """Append audio, in the port's codec and rate, to the buffer of a feed port."""


class FeedPort:
    """The feed port of one leg: opened once, closed once, and silent in between when nothing is fed."""

    def __init__(self, engine: FeedEngine, listen: Listen) -> None:
        self._engine = engine
        self._listen = listen
        self._port = 0
        """Number of the open port; 0 while it is closed."""

    @property
    def number(self) -> int:
        """Number of the open port; 0 while it is closed."""
        return self._port

    @property
    def is_open(self) -> bool:
        """Tell whether the port is open."""
        return bool(self._port)

    def open(
        self,
        request: LegRequest,
        codec: Codec,
        rate: int,
        *,
        on_frame: Callable[[bytes], None] | None = None,
        prebuffer_ms: int,
        live: bool | None,
        buffer_ms: int = BUFFER_MS,
    ) -> None:
        """Open the port that a leg request names; does nothing while it is open.

        Args:
            request: names the port and the mix.
            codec: format of what is fed.
            rate: sampling rate in Hz.
            on_frame: called with each 20 ms frame that the port hears; None: nothing listens.
            prebuffer_ms: audio collected before it sounds, in milliseconds.
            live: whether audio comes in real time, so that late audio is dropped; None: the engine finds out.
            buffer_ms: longest audio that may wait, in milliseconds.
        """
        if self._port:
            return
        self._port = request.port
        order = m.AddFeedPort(
            request.port,
            request.mix,
            codec,
            rate,
            buffer_ms=buffer_ms,
            prebuffer_ms=prebuffer_ms,
            live=live,
        )
        self._engine.post(order)
        if on_frame is not None:
            self._listen(request.port, on_frame)

    def feed(self, data: bytes) -> None:
        """Play audio; dropped while the port is closed. May be called from any thread."""
        if port := self._port:
            self._engine.feed(port, data)

    def send_tones(self, digits: str) -> None:
        """Play DTMF digits as tones to the mix."""
        if self._port:
            self._engine.post(m.SendDigits(self._port, digits))

    def post(self, make: Callable[[int], m.Message]) -> None:
        """Post the message that `make` returns for the port's number, if the port is open."""
        if self._port:
            self._engine.post(make(self._port))

    def close(self) -> None:
        """Close the port; further calls do nothing."""
        port, self._port = self._port, 0
        if port:
            self._engine.post(m.RemovePort(port))
