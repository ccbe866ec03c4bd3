"""Tie a connection to the addresses that were checked.

Asking a name server twice may give two answers: one to be checked and another to be dialled. So the name is
resolved once, here, and aiohttp is given a resolver that only repeats that answer. Below it, the maker of
sockets refuses every other address: an address written into a redirect never passes a resolver.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from ssl import SSLContext
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from softswitch.egress.address import Address, Network, check_address
from softswitch.egress.errors import EgressFailed, EgressRefused

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Ask for the addresses of a name, as texts."""


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver for the addresses of a name.

    Raises:
        OSError: if it knows none.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Pin(AbstractResolver):
    """Stand for the answer to one question: the addresses and the port one URL may be dialled at."""

    def __init__(self, addresses: Sequence[Address], port: int) -> None:
        self._addresses = tuple(addresses)
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Repeat the checked addresses, whatever the name."""
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=_family(address),
                proto=0,
                flags=int(socket.AI_NUMERICHOST | socket.AI_NUMERICSERV),
            )
            for address in self._addresses
            if family in (socket.AF_UNSPEC, _family(address))
        ]

    async def close(self) -> None:
        """Do nothing: nothing is held."""

    def make_socket(self, entry: tuple[Any, ...]) -> socket.socket:
        """Make the socket for one attempt (the last gate: aiohttp calls it with the address it will dial).

        Raises:
            OSError: if that is not an address that was checked.
        """
        family, kind, protocol, _, place = entry
        if ip_address(place[0]) not in self._addresses or place[1] != self._port:
            raise PermissionError("a redirect led to an address that was not checked")
        made = socket.socket(family=family, type=kind, proto=protocol)
        made.setblocking(False)
        return made

    def connector(self, tls: SSLContext) -> aiohttp.TCPConnector:
        """Return a connector for one connection to these addresses."""
        return aiohttp.TCPConnector(
            resolver=self,
            use_dns_cache=False,
            ssl=tls,
            force_close=True,
            limit=1,
            socket_factory=self.make_socket,
        )


async def pin(url: URL, allow: Sequence[Network], resolve: Resolve, *, trusted: bool) -> Pin:
    """Resolve the host of a URL and keep the addresses that may be dialled.

    Args:
        url: a URL that `read_url` has passed.
        allow: the networks of `[egress] allow`.
        resolve: the name service.
        trusted: whether the operator wrote the URL; then every address will do.

    Raises:
        EgressRefused: if the name has addresses and none of them may be dialled.
        EgressFailed: if the name has none.
    """
    host, port = url.raw_host or "", url.port or 0
    addresses = await _addresses(host, port, resolve)
    if trusted:
        return Pin(addresses, port)
    refusal: EgressRefused | None = None
    checked = []
    for address in addresses:
        try:
            check_address(address, allow)
        except EgressRefused as error:
            refusal = error
        else:
            checked.append(address)
    if refusal is not None and not checked:
        raise refusal
    return Pin(checked, port)


async def _addresses(host: str, port: int, resolve: Resolve) -> list[Address]:
    try:
        return [ip_address(host)]
    except ValueError:
        pass  # a name
    try:
        answers = await resolve(host, port)
        addresses = [ip_address(text.partition("%")[0]) for text in answers]
    except (OSError, ValueError, UnicodeError) as error:
        raise EgressFailed("the name of the host cannot be resolved") from error
    if not addresses:
        raise EgressFailed("the name of the host has no address")
    return addresses


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
