"""The WebSocket of one call, which is opened again when it is lost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Protocol

import aiohttp
from yarl import URL

from softswitch.client.errors import ConnectionFailedError, ConnectionLostError

_FINAL_STATUS = frozenset({400, 401, 403, 404, 409, 426})
"""HTTP statuses after which opening again is useless."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


class Wire(Protocol):
    """What carries the messages of a call; a :class:`Link`, or the call's own switch in the same process."""

    @property
    def close_code(self) -> int | None:
        """Close code of the last socket."""

    async def open(self, query: Mapping[str, str]) -> None:
        """Begin; raises ConnectionFailedError."""

    async def reopen(self, query: Mapping[str, str], within_s: float) -> bool:
        """Begin again after a loss; return whether that was possible."""

    def messages(self) -> AsyncIterator[str | bytes]:
        """Yield what the switch sends, until the end."""

    async def send(self, data: str | bytes) -> None:
        """Send a text or binary message; raises ConnectionLostError."""

    async def close(self) -> None:
        """End."""


class Link:
    """Connection of a call to its switch: one WebSocket after another."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str | URL,
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        heartbeat_s: float = 20.0,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            session: opens the sockets.
            url: of the endpoint, ``ws``, ``wss``, ``http`` or ``https``.
            token: API key or token, sent as ``Authorization: Bearer``.
            timeout_s: for one attempt to connect.
            heartbeat_s: seconds between pings to a silent switch.
        """
        self._session = session
        self._url = URL(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout_s = timeout_s
        self._heartbeat_s = heartbeat_s
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._close_code: int | None = None

    @property
    def close_code(self) -> int | None:
        """Close code of the last socket."""
        return self._close_code

    async def open(self, query: Mapping[str, str]) -> None:
        """Open a socket.

        Raises:
            ConnectionFailedError: the switch cannot be reached, or refuses (then `status` is set).
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                self._socket = await self._session.ws_connect(
                    self._url.update_query(query),
                    headers=self._headers,
                    heartbeat=self._heartbeat_s,
                    max_msg_size=0,
                )
        except aiohttp.WSServerHandshakeError as error:
            raise ConnectionFailedError(f"the switch answered {error.status}", status=error.status) from None
        except TimeoutError:  # Before OSError: TimeoutError is a subclass of it.
            raise ConnectionFailedError(f"the switch did not answer within {self._timeout_s} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionFailedError(f"the switch cannot be reached: {error}") from error

    async def reopen(self, query: Mapping[str, str], within_s: float) -> bool:
        """Try to open a socket again and again for `within_s` seconds; return whether one is open."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + within_s, _FIRST_PAUSE_S
        while loop.time() < deadline:
            try:
                await self.open(query)
            except ConnectionFailedError as failed:
                if failed.status in _FINAL_STATUS:
                    return False
                await asyncio.sleep(min(pause, max(deadline - loop.time(), 0.0)))
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                return True
        return False

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Yield text and binary messages until the socket is lost or closed."""
        socket = self._socket
        if socket is None:
            return
        async for message in socket:
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                yield message.data
        self._close_code = socket.close_code

    async def send(self, data: str | bytes) -> None:
        """Send a text or a binary message.

        Raises:
            ConnectionLostError: there is no open socket.
        """
        socket = self._socket
        if socket is None or socket.closed:
            raise ConnectionLostError("the socket is closed", code=self.close_code)
        try:
            if isinstance(data, str):
                await socket.send_str(data)
            else:
                await socket.send_bytes(data)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ConnectionLostError(f"the socket broke: {error}", code=socket.close_code) from error

    async def close(self) -> None:
        """Close the socket; wait at most 2 s for the switch's answer."""
        if self._socket is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(2.0):
                    await self._socket.close()
