"""Event loops that resolve host names without threads and leak no socket; `app` runs one of them.

asyncio resolves names in the threads that also read files, uvloop in the four threads of libuv, which even
connections to numeric addresses wait for. A name server that does not respond blocks all of them
(docs/adr/0017).
"""

import asyncio
import contextlib
import selectors
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from softswitch.egress.lookup import UnresolvedError
from softswitch.egress.names import Names, is_address

_Found = list[Any]
"""Result of `socket.getaddrinfo`."""


async def getaddrinfo(
    names: Names,
    host: bytes | str | None,
    port: bytes | str | int | None,
    *,
    family: int = 0,
    type: int = 0,  # noqa: A002
    proto: int = 0,
    flags: int = 0,
) -> _Found:
    """Resolve a host as a loop's `getaddrinfo` does, without a thread.

    Raises:
        socket.gaierror: The name cannot be resolved, or has no address of the family.
    """
    text = host.decode("ascii") if isinstance(host, bytes) else host
    if text and not is_address(text.partition("%")[0]) and not flags & socket.AI_NUMERICHOST:
        try:
            addresses: Sequence[str | None] = await names(text)
        except UnresolvedError as error:
            raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
    else:
        addresses = [text]
    found: _Found = []
    for address in addresses:
        # For an address, or without a host, this call does not block.
        numeric = flags | socket.AI_NUMERICHOST
        with contextlib.suppress(socket.gaierror):  # an address of the other family
            found.extend(socket.getaddrinfo(address, port, family, type, proto, numeric))
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, f"{text}: no address of this family")
    return found


async def unharmed(opening: Coroutine[Any, Any, tuple[asyncio.BaseTransport, Any]]) -> tuple[Any, Any]:
    """Open a transport; close it if the caller is cancelled meanwhile.

    uvloop leaks the socket of a datagram endpoint whose creation is cancelled.
    """
    task = asyncio.ensure_future(opening)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.add_done_callback(_close)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
        raise
    return task.result()


def _close(task: "asyncio.Task[tuple[asyncio.BaseTransport, Any]]") -> None:
    if not task.cancelled() and task.exception() is None:
        transport, _ = task.result()
        transport.abort() if isinstance(transport, asyncio.DatagramTransport) else transport.close()


class SelectorLoop(asyncio.SelectorEventLoop):
    """asyncio's selector loop, resolving names without threads."""

    def __init__(self, names: Names | None = None) -> None:
        super().__init__(selectors.DefaultSelector())
        self.names = names or Names()

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Resolve a host; see `getaddrinfo`."""
        return await getaddrinfo(self.names, host, port, **options)


def uvloop_factory(names: Names | None = None) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return a factory of uvloop's loops that resolve names without threads.

    Raises:
        ImportError: uvloop is not installed.
    """
    import uvloop  # noqa: PLC0415  (an extra)

    base: Any = uvloop.Loop

    class UvLoop(base):  # type: ignore[misc]
        """uvloop's loop, resolving names without threads."""

        def __init__(self) -> None:
            super().__init__()
            self.names = names or Names()

        async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> _Found:
            return await getaddrinfo(self.names, host, port, **options)

        async def create_datagram_endpoint(
            self, factory: Callable[[], asyncio.BaseProtocol], *places: Any, **options: Any
        ) -> tuple[Any, Any]:
            return await unharmed(super().create_datagram_endpoint(factory, *places, **options))

    return UvLoop
