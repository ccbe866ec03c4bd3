"""TCP and TLS: one object for each connection, messages cut out of the stream (RFC 3261 section 18.3)."""

import asyncio
import logging
from collections.abc import Callable
from typing import Literal, Protocol, cast

from softswitch.endpoints.sip.counters import SipCounters
from softswitch.endpoints.sip.transports.wire import LocalAddress, Receiver, WireLimits, plain_address
from softswitch.sip.flow import Flow
from softswitch.sip.framer import KeepAlive, StreamFramer

logger = logging.getLogger(__name__)

PING = b"\r\n\r\n"
PONG = b"\r\n"
"""Keep-alives of RFC 5626 section 4.4.1."""


class Connections(Protocol):
    """The table that a connection enters and leaves."""

    def admit(self, connection: "StreamConnection") -> bool:
        """Enter a connection that is open; False where there are too many."""

    def leave(self, connection: "StreamConnection") -> None:
        """Forget a connection that is closed."""


class StreamConnection(asyncio.Protocol):
    """One TCP or TLS connection, accepted or opened by us."""

    def __init__(
        self,
        table: Connections,
        receiver: Receiver,
        local: LocalAddress,
        limits: WireLimits,
        counters: SipCounters,
        *,
        number: int,
        transport: Literal["tcp", "tls"],
        ours: bool,
        clock: Callable[[], float],
    ) -> None:
        """Be a connection about to open.

        Args:
            table: admits it.
            receiver: takes its messages.
            local: by which address its far end reaches us.
            limits: bounds of it.
            counters: of all telephones.
            number: its id, from 1.
            transport: tcp or tls.
            ours: we opened it, and keep it open.
            clock: monotonic seconds.
        """
        self._table = table
        self._receiver = receiver
        self._local = local
        self._limits = limits
        self._counters = counters
        self._number = number
        self._kind = transport
        self._clock = clock
        self.ours = ours
        self._framer = StreamFramer()
        self._stream: asyncio.Transport | None = None
        self._heard_at = self._spoke_at = self._opened_at = clock()
        self._introduced = False
        self.flow = Flow(transport, "", 0, number)

    # --- what asyncio tells ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the table, or close at once."""
        self._stream = stream = cast("asyncio.Transport", transport)
        peer = stream.get_extra_info("peername") or ("", 0)
        host = plain_address(peer[0])
        local_host, local_port = self._local(self._kind, host)
        self.flow = Flow(self._kind, host, peer[1], self._number, local_host, local_port)
        if not self._table.admit(self):
            self._counters.connections_refused += 1
            self.close()

    def data_received(self, data: bytes) -> None:
        """Cut what came into messages."""
        if self._stream is None:
            return
        self._heard_at = self._clock()
        for piece in self._framer.feed(data):
            if isinstance(piece, KeepAlive):
                self._counters.keep_alives += 1
                if piece is KeepAlive.PING:
                    self.send(PONG)
            else:
                self._introduced = True
                self._receiver.message_received(piece, self.flow)
        if self._framer.broken and self._stream is not None:
            logger.debug("a connection speaks no SIP", extra={"reason": self._framer.broken})
            self._counters.connections_broken += 1
            self._stream.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the table."""
        self._stream = None
        self._table.leave(self)

    # --- what the table asks ---------------------------------------------------------------

    def send(self, data: bytes) -> bool:
        """Send a message; False where the connection is closed, or its far end takes nothing any more."""
        stream = self._stream
        if stream is None or stream.is_closing():
            return False
        if stream.get_write_buffer_size() + len(data) > self._limits.send_bytes:
            stream.abort()
            return False
        stream.write(data)
        self._spoke_at = self._clock()
        return True

    def look(self, now: float) -> None:
        """Close the connection if nothing came for too long; keep one of ours alive."""
        stranger = not (self._introduced or self.ours)  # one that drips bytes is not heard either
        silent = now - (self._opened_at if stranger else self._heard_at)
        if silent > (self._limits.first_s if stranger else self._limits.idle_s):
            self._counters.connections_idle += 1
            self.close()
        elif self.ours and now - max(self._spoke_at, self._heard_at) >= self._limits.ping_s:
            self.send(PING)

    def close(self) -> None:
        """Close the connection; what waits to be sent is thrown away."""
        if self._stream is not None:
            self._stream.abort()
