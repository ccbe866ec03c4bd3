"""SIP over WebSocket (RFC 7118): the web server accepts, each of its messages is one of ours."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Literal

from softswitch.endpoints.sip.counters import SipCounters
from softswitch.endpoints.sip.transports.wire import LocalAddress, Receiver, WireLimits
from softswitch.sip.flow import Flow
from softswitch.sip.framer import is_keep_alive

Receive = Callable[[], Awaitable[str | bytes | None]]
"""Wait for the next message; None once the socket is closed."""
Send = Callable[[bytes], Awaitable[None]]


class WebSocketConnection:
    """One WebSocket of a phone in a browser."""

    def __init__(
        self,
        receiver: Receiver,
        local: LocalAddress,
        limits: WireLimits,
        counters: SipCounters,
        *,
        number: int,
        secure: bool,
        peer: tuple[str, int],
    ) -> None:
        """Be a connection that the web server has accepted.

        Args:
            receiver: takes its messages.
            local: by which address its far end reaches us.
            limits: bounds of it.
            counters: of all telephones.
            number: its id, from 1.
            secure: it came over TLS.
            peer: address and port of the far end.
        """
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
        """Carry messages both ways until the far end is gone or `close` is called."""
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(receive))
            writing = tasks.create_task(self._write(send))
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            self._closed = True
            reading.cancel()
            writing.cancel()

    def send(self, data: bytes) -> bool:
        """Send a message; False where the connection is closed or its far end takes nothing any more."""
        if self._closed:
            return False
        if self._waiting_bytes + len(data) > self._limits.send_bytes:
            self.close()
            return False
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._wake.set()
        return True

    def look(self, now: float) -> None:
        """Do nothing: the web server has heartbeats of its own."""

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
            return  # the end of the socket, told by an exception

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
