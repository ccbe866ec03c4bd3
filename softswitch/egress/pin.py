"""Connections only to addresses that were checked.

Two DNS queries may give two results: a permitted address for the check, and another one for the connection
(DNS rebinding). The name is therefore resolved once, and aiohttp gets a resolver that repeats the result.
The socket factory refuses every other address as well, since an address in a redirect passes no resolver.
"""

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
from softswitch.egress.lookup import UnresolvedError
from softswitch.egress.names import SWITCH, Asker

Resolve = Callable[[str, Asker], Awaitable[Sequence[str]]]
"""Returns the addresses of a name as text, for an account and call."""


class Pin(AbstractResolver):
    """Resolver and socket factory limited to the checked addresses and the port of one URL."""

    def __init__(self, addresses: Sequence[Address], port: int) -> None:
        self._addresses = tuple(addresses)
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the checked addresses for any name."""
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
        """Do nothing; there are no resources."""

    def make_socket(self, entry: tuple[Any, ...]) -> socket.socket:
        """Return the socket for one attempt; aiohttp calls this with the address that it connects to.

        Raises:
            OSError: The address or port was not checked.
        """
        family, kind, protocol, _, place = entry
        if ip_address(place[0]) not in self._addresses or place[1] != self._port:
            raise PermissionError("a redirect led to an address that was not checked")
        made = socket.socket(family=family, type=kind, proto=protocol)
        made.setblocking(False)
        return made

    def connector(self, tls: SSLContext) -> aiohttp.TCPConnector:
        """Return an aiohttp connector for one connection to these addresses."""
        return aiohttp.TCPConnector(
            resolver=self,
            use_dns_cache=False,
            ssl=tls,
            force_close=True,
            limit=1,
            socket_factory=self.make_socket,
        )


async def pin(
    url: URL, allow: Sequence[Network], resolve: Resolve, *, trusted: bool, asker: Asker = SWITCH
) -> Pin:
    """Resolve the host of a URL and keep the permitted addresses.

    Args:
        url: URL that `read_url` returned.
        allow: networks of `[egress] allow`.
        resolve: resolver of names.
        trusted: whether the URL comes from the settings; then every address is permitted.
        asker: account and call that the name is resolved for.

    Raises:
        EgressRefused: No address of the name is permitted.
        EgressFailed: The name has no address.
    """
    host, port = url.raw_host or "", url.port or 0
    addresses = await _addresses(host, resolve, asker)
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


async def _addresses(host: str, resolve: Resolve, asker: Asker) -> list[Address]:
    try:
        return [ip_address(host)]
    except ValueError:
        pass  # a name
    try:
        answers = await resolve(host, asker)
        addresses = [ip_address(text.partition("%")[0]) for text in answers]
    except (UnresolvedError, OSError, ValueError) as error:
        raise EgressFailed("the name of the host cannot be resolved") from error
    if not addresses:
        raise EgressFailed("the name of the host has no address")
    return addresses


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
