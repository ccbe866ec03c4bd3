"""SIP over WebSocket (RFC 7118): the web server accepts the connection; each message is a SIP message."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Literal

from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.transports.wire import LocalAddress, Receiver, TransportLimits
from softswitch.sip.syntax.framer import is_keep_alive
from softswitch.sip.transaction.flow import Flow

Receive = Callable[[], Awaitable[str | bytes | None]]
"""Waits for the next message; None once the socket is closed."""
Send = Callable[[bytes], Awaitable[None]]


class WebSocketConnection:
    """One WebSocket of a phone in a browser."""

    def __init__(
        self,
        receiver: Receiver,
        local: LocalAddress,
        limits: TransportLimits,
        counters: SipCounters,
        *,
        number: int,
        secure: bool,
        peer: tuple[str, int],
        now: float = 0.0,
    ) -> None:
        """Prepare for a connection that the web server has accepted.

        Args:
            receiver: receives its messages.
            local: returns the local address to announce to a peer.
            limits: limits of connections.
            counters: of all SIP legs.
            number: id of the connection, from 1.
            secure: the WebSocket is over TLS.
            peer: address and port of the client.
            now: time of acceptance, in monotonic seconds.
        """
        self.is_proved = False
        """Whether a phone has registered or called over it."""
        self._opened_at = now
        kind: Literal["ws", "wss"] = "wss" if secure else "ws"
        host, port = local(kind, peer[0])
        self.flow = Flow(kind, peer[0], peer[1], number, host, port)
        self._receiver = receiver
        self._limits = limits
        self._counters = counters
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._closed = False

    async def run(self, receive: Receive, send: Send) -> None:
        """Carry messages both ways until the client closes or `close` is called."""
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(receive))
            writing = tasks.create_task(self._write(send))
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            self._closed = True
            reading.cancel()
            writing.cancel()

    def send(self, data: bytes) -> bool:
        """Queue a message; False where the connection is closed, or its queue is full."""
        if self._closed:
            return False
        if self._waiting_bytes + len(data) > self._limits.send_bytes:
            self.close()
            return False
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._wake.set()
        return True

    def check_silence(self, now: float) -> None:
        """Close it if no phone authenticated in time; silence is left to the heartbeats of the web server."""
        if not self.is_proved and not self._closed and now - self._opened_at > self._limits.proof_s:
            self._counters.connections_unproved += 1
            self.close()

    def prove(self) -> None:
        """Let the connection stay: a phone has authenticated."""
        self.is_proved = True

    def close(self) -> None:
        """End `run`."""
        self._closed = True
        self._wake.set()

    async def _read(self, receive: Receive) -> None:
        try:
            while (message := await receive()) is not None and not self._closed:
                data = message.encode("utf-8", "surrogateescape") if isinstance(message, str) else message
                if is_keep_alive(data):
                    self._counters.keep_alives += 1
                    self.send(b"\r\n")
                else:
                    self._receiver.message_received(data, self.flow)
        except ConnectionError:
            return  # the socket is closed

    async def _write(self, send: Send) -> None:
        try:
            while not self._closed:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting and not self._closed:
                    data = self._waiting.popleft()
                    self._waiting_bytes -= len(data)
                    await send(data)
        except ConnectionError:
            return
