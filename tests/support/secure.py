"""Clients over TLS that leave no connection behind: TLS says goodbye after `close` has returned."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp


@contextlib.asynccontextmanager
async def secure_session(
    trust: ssl.SSLContext | bool, *, each_anew: bool = False
) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a session, and wait at the end until its connections are closed.

    Args:
        trust: Certificates to trust; False trusts any.
        each_anew: Each request has a connection of its own.
    """
    made: list[socket.socket] = []

    def make(place: tuple[Any, ...]) -> socket.socket:
        made.append(socket.socket(*place[:3]))
        return made[-1]

    connector = aiohttp.TCPConnector(ssl=trust, socket_factory=make, force_close=each_anew)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session
    async with asyncio.timeout(60):
        while any(one.fileno() != -1 for one in made):
            await asyncio.sleep(0.01)


async def cut(writer: asyncio.StreamWriter) -> None:
    """End a connection at once, and wait until it is closed."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
