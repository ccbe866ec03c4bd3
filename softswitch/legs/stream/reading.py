"""Reading of what a stream's service sends: in order, within bounds, in the words of its dialect."""

from collections.abc import Callable
from typing import Protocol

from softswitch.egress.websocket import MAX_MESSAGE, Parser
from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.legs.stream.counters import StreamCounters
from softswitch.legs.stream.stream_log import StreamLog
from softswitch.legs.websocket.frame_reader import FrameReader

TOO_BIG = 1009
"""Close code for a message that is too large (RFC 6455 section 7.4.1)."""

Read = Callable[[bytes, int], d.Values]
"""Reads one message in the words of the dialect."""


class Receiver(Protocol):
    """Receives what the messages of a service mean."""

    def take(self, values: d.Values) -> None:
        """Carry out what a message means."""

    def unreadable(self, reason: str) -> None:
        """Tell the service that a message could not be read."""

    def violated(self, code: int, reason: str) -> None:
        """Part from a service that violates WebSocket; with the code of the Close."""


class ServiceReader:
    """Reads the messages of a service, on each of its connections; it keeps those that come too early."""

    def __init__(
        self,
        session: d.StreamSession,
        receiver: Receiver,
        *,
        counters: StreamCounters,
        log: StreamLog,
        now_ms: Callable[[], int],
    ) -> None:
        self._session, self._receiver = session, receiver
        self._counters, self._log, self._now_ms = counters, log, now_ms
        self.frames: FrameReader | None = None
        """Of the present connection; None where it could not be put in."""
        self._keeps = True
        """Whether the connection is not served yet: what the service sends is kept."""
        self._ignores = False
        self._early: list[tuple[Read, bytes]] = []
        self._early_bytes = 0
        self._fault: tuple[int, str] | None = None

    # --- of each connection -----------------------------------------------------------------

    def before(self, parser: Parser) -> Parser:
        """Return the reader that stands before the parser of a new connection."""
        self.frames = FrameReader(
            parser,
            self.take_binary,
            on_text=self.take_text,
            masked=False,
            most=MAX_MESSAGE,
            on_fault=self._take_fault,
        )
        return self.frames

    def begin(self) -> None:
        """Read what the service has sent in the packet of its handshake, and what comes from now on."""
        self._keeps = False
        early, self._early, self._early_bytes = self._early, [], 0
        for read, data in early:
            self._take(read, data)
        fault, self._fault = self._fault, None
        if fault is not None:
            self._receiver.violated(*fault)

    def ignore(self) -> None:
        """Read nothing more of this connection."""
        self._ignores = True

    def end(self) -> None:
        """Note that the connection is over; the next one may begin."""
        self._keeps, self._ignores = True, False

    @property
    def is_plain(self) -> bool:
        """Whether messages are read as they come, neither kept nor ignored."""
        return not (self._keeps or self._ignores)

    # --- messages ---------------------------------------------------------------------------

    def take_text(self, data: bytes) -> None:
        """Take a text message."""
        self._take(self._session.read_text, data)

    def take_binary(self, data: bytes) -> None:
        """Take a binary message; it is counted and dropped where the protocol has none."""
        if self._session.traits.takes_binary:
            self._take(self._session.read_binary, data)
        elif not self._ignores:
            self._counters.binary += 1
            self._log.warn("a stream got a binary message", f"{len(data)} bytes")

    def _take(self, read: Read, data: bytes) -> None:
        """Read a message; whatever is wrong with it, the stream goes on."""
        if self._ignores:
            return
        if self._keeps:
            self._keep(read, data)
            return
        try:
            values = read(data, self._now_ms())
        except MalformedError as error:
            self._counters.junk += 1
            self._log.warn("a message of a stream cannot be read", str(error))
            self._receiver.unreadable(str(error))
            return
        self._receiver.take(values)

    def _keep(self, read: Read, data: bytes) -> None:
        self._early_bytes += len(data)
        if self._early_bytes <= MAX_MESSAGE:
            self._early.append((read, data))
        else:
            self._counters.junk += 1
            self._log.warn(
                "a service sends too much before the stream begins", f"more than {MAX_MESSAGE} bytes"
            )

    def _take_fault(self, code: int, reason: str) -> None:
        """Note a violation of the protocol, or a message that is larger than any may be."""
        if code == TOO_BIG:
            self._counters.too_large += 1
        self._log.warn("a service of a stream violates the protocol", reason)
        if self._keeps:
            self._fault = code, reason
        else:
            self._receiver.violated(code, reason)
