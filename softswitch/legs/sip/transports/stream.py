"""TCP and TLS transports: connections whose stream is split into messages (RFC 3261 section 18.3)."""

import asyncio
import logging
from collections.abc import Callable
from typing import Literal, Protocol, cast

from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.transports.wire import LocalAddress, Receiver, TransportLimits, plain_address
from softswitch.sip.syntax.framer import KeepAlive, StreamFramer
from softswitch.sip.transaction.flow import Flow

logger = logging.getLogger(__name__)

PING = b"\r\n\r\n"
PONG = b"\r\n"
"""Keep-alives of RFC 5626 section 4.4.1."""


class Connections(Protocol):
    """The table of open connections."""

    def admit(self, connection: "StreamConnection") -> bool:
        """Add a connection that is open; False where the limits are reached."""

    def remove(self, connection: "StreamConnection") -> None:
        """Remove a connection that is closed."""


class StreamConnection(asyncio.Protocol):
    """One TCP or TLS connection, accepted or opened by the switch."""

    def __init__(
        self,
        table: Connections,
        receiver: Receiver,
        local: LocalAddress,
        limits: TransportLimits,
        counters: SipCounters,
        *,
        number: int,
        transport: Literal["tcp", "tls"],
        is_outgoing: bool,
        clock: Callable[[], float],
    ) -> None:
        """Prepare for a connection that is about to open.

        Args:
            table: table of open connections.
            receiver: receives its messages.
            local: returns the local address to announce to a peer.
            limits: limits of connections.
            counters: of all SIP legs.
            number: id of the connection, from 1.
            transport: tcp or tls.
            is_outgoing: the switch opened it, and keeps it open.
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
        self.is_outgoing = is_outgoing
        self._framer = StreamFramer()
        self._stream: asyncio.Transport | None = None
        self._received_at = self._sent_at = self._opened_at = clock()
        self._has_spoken_sip = False
        self.flow = Flow(transport, "", 0, number)

    # --- callbacks of asyncio ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Add the connection to the table, or close it at once."""
        self._stream = stream = cast("asyncio.Transport", transport)
        peer = stream.get_extra_info("peername") or ("", 0)
        host = plain_address(peer[0])
        local_host, local_port = self._local(self._kind, host)
        self.flow = Flow(self._kind, host, peer[1], self._number, local_host, local_port)
        if not self._table.admit(self):
            self._counters.connections_refused += 1
            self.close()

    def data_received(self, data: bytes) -> None:
        """Split the stream into messages and hand them on."""
        if self._stream is None:
            return
        self._received_at = self._clock()
        for piece in self._framer.feed(data):
            if isinstance(piece, KeepAlive):
                self._counters.keep_alives += 1
                if piece is KeepAlive.PING:
                    self.send(PONG)
            else:
                self._has_spoken_sip = True
                self._receiver.message_received(piece, self.flow)
        if self._framer.broken and self._stream is not None:
            logger.debug(
                "a connection was closed: its stream is not SIP", extra={"reason": self._framer.broken}
            )
            self._counters.connections_broken += 1
            self._stream.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the table."""
        self._stream = None
        self._table.remove(self)

    # --- commands of the table --------------------------------------------------------------

    def send(self, data: bytes) -> bool:
        """Send a message; False where the connection is closed, or its send buffer is full."""
        stream = self._stream
        if stream is None or stream.is_closing():
            return False
        if stream.get_write_buffer_size() + len(data) > self._limits.send_bytes:
            stream.abort()
            return False
        stream.write(data)
        self._sent_at = self._clock()
        return True

    def check_silence(self, now: float) -> None:
        """Close the connection if it is silent for too long; keep one opened by the switch alive."""
        # Before the first message the age counts: single bytes do not keep a connection open.
        unproven = not (self._has_spoken_sip or self.is_outgoing)
        silent = now - (self._opened_at if unproven else self._received_at)
        if silent > (self._limits.first_s if unproven else self._limits.idle_s):
            self._counters.connections_idle += 1
            self.close()
        elif self.is_outgoing and now - max(self._sent_at, self._received_at) >= self._limits.ping_s:
            self.send(PING)

    def close(self) -> None:
        """Close the connection; messages that wait to be sent are dropped."""
        if self._stream is not None:
            self._stream.abort()
