"""The WebSocket of one call, as often as it has to be opened."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

import aiohttp
from yarl import URL

from softswitch.client.errors import ConnectionFailedError, ConnectionLostError

_FINAL_STATUS = frozenset({400, 401, 403, 404, 409, 426})
"""Refusals that will not be different a moment later."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


class Link:
    """Opens the socket, loses it, and opens it again."""

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
            heartbeat_s: how often a silent switch is asked whether it is still there.
        """
        self._session = session
        self._url = URL(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout_s = timeout_s
        self._heartbeat_s = heartbeat_s
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.close_code: int | None = None
        """What the switch closed the last socket with."""

    async def open(self, query: Mapping[str, str]) -> None:
        """Open a socket.

        Raises:
            ConnectionFailedError: the switch cannot be reached or refuses; `status` tells them apart.
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
        except TimeoutError:  # Before OSError, which it is one of.
            raise ConnectionFailedError(f"the switch did not answer within {self._timeout_s} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionFailedError(f"the switch cannot be reached: {error}") from error

    async def reopen(self, query: Mapping[str, str], within_s: float) -> bool:
        """Try to open a socket again and again; return whether it came about within `within_s` seconds."""
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
        self.close_code = socket.close_code

    async def send(self, data: str | bytes) -> None:
        """Send a text or a binary message.

        Raises:
            ConnectionLostError: there is no socket to send it on.
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
        """Close the socket; a switch that does not answer the close is not waited for."""
        if self._socket is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(2.0):
                    await self._socket.close()
