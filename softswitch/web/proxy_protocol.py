"""The PROXY protocol, versions 1 and 2: the header by which a proxy tells who its client is (HAProxy, 2020).

With `[http] proxy_protocol` every connection from a trusted proxy must begin with the header. Connections
from elsewhere have none: their bytes are HTTP from the first on.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from softswitch.sip.security.guard import Network, is_within
from softswitch.web.malformed import MALFORMED

logger = logging.getLogger(__name__)

HEADER_S = 5.0
"""Time that a proxy has to send its header, in seconds."""
MOST_V1 = 107
"""Octets of the longest header of version 1, with its CRLF."""
MOST_V2 = 4096
"""Octets of the longest header of version 2 that is read; addresses and the usual TLVs have 300."""
_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD = 16
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_SIZES = {_TCP4: 12, _TCP6: 36}
_SSL = 0x20
"""Type of the TLV that tells whether the client came over TLS."""


class HeaderError(ValueError):
    """A connection does not begin with a header."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a header says."""

    size: int
    """Octets of the header."""
    client: str = ""
    """Address of the client; empty: the proxy speaks for itself (a health check)."""
    is_secure: bool = False
    """Whether the header says that the client came over TLS; version 1 cannot say so."""


def read_header(data: bytes) -> Told | None:
    """Read the header that a connection begins with; None while it is not complete.

    Raises:
        HeaderError: It is absent, malformed or too long.
    """
    if data[: len(_V2)] == _V2[: len(data)]:
        return _read_v2(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _read_v1(data)
    raise HeaderError("no PROXY header")


def _read_v1(data: bytes) -> Told | None:
    end = data.find(b"\r\n", 0, MOST_V1)
    if end < 0:
        if len(data) >= MOST_V1:
            raise HeaderError("a PROXY header of version 1 is too long")
        return None
    words = data[:end].split(b" ")
    if words[1] == b"UNKNOWN":
        return Told(end + 2)
    version = {b"TCP4": 4, b"TCP6": 6}.get(words[1])
    if version is None or len(words) != 6 or not all(_is_port(port) for port in words[4:]):
        raise HeaderError("a malformed PROXY header of version 1")
    try:
        source, destination = (ipaddress.ip_address(word.decode("ascii")) for word in words[2:4])
    except ValueError:
        raise HeaderError("an address of a PROXY header cannot be read") from None
    if source.version != version or destination.version != version:
        raise HeaderError("an address of a PROXY header is of another family")
    return Told(end + 2, str(source))


def _is_port(word: bytes) -> bool:
    return word.isdigit() and len(word) <= 5 and int(word) <= 65535


def _read_v2(data: bytes) -> Told | None:
    if len(data) < _V2_HEAD:
        return None
    command, family, length = data[12], data[13], int.from_bytes(data[14:16])
    size = _V2_HEAD + length
    if command not in (_LOCAL, _PROXY):
        raise HeaderError(f"command {command:#04x} of a PROXY header is unknown")
    if size > MOST_V2:
        raise HeaderError("a PROXY header of version 2 is too long")
    if len(data) < size:
        return None
    if command == _LOCAL or family not in _SIZES:
        return Told(
            size
        )  # Other families (UDP, sockets of files) carry no HTTP: the proxy's own address counts.
    addresses, octets = _SIZES[family], 4 if family == _TCP4 else 16
    if length < addresses:
        raise HeaderError("a PROXY header of version 2 is too short")
    at = _V2_HEAD
    client = str(ipaddress.ip_address(data[at : at + octets]))
    return Told(size, client, _is_secure(data[at + addresses : size]))


def _is_secure(rest: bytes) -> bool:
    """Tell whether the TLVs of a header say that the client came over TLS (section 2.2.6)."""
    while len(rest) >= 3:
        kind, length = rest[0], int.from_bytes(rest[1:3])
        if kind == _SSL and length >= 5 and len(rest) >= 4:
            return bool(rest[3] & 1)
        rest = rest[3 + length :]
    return False


class Proxied:
    """What trusted proxies told about the connections that are open."""

    def __init__(self, networks: Sequence[Network]) -> None:
        """Take the networks of the proxies."""
        self.networks = networks
        self._told: dict[object, Told] = {}

    def told(self, transport: object) -> Told | None:
        """Return what a header said about a connection; None where it had none."""
        return self._told.get(transport)

    def note(self, transport: object, told: Told) -> None:
        """Keep what a header said."""
        self._told[transport] = told

    def forget(self, transport: object) -> None:
        """Forget a connection."""
        self._told.pop(transport, None)


class _Connection(asyncio.Protocol):
    """Reads the header of a connection, then passes everything on to the HTTP server."""

    def __init__(self, make: Callable[[], asyncio.Protocol], proxied: Proxied) -> None:
        self._make = make
        self._proxied = proxied
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the header where the peer is a proxy."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        peer = transport.get_extra_info("peername")
        if peer and is_within(str(peer[0]), self._proxied.networks):
            self._patience = asyncio.get_running_loop().call_later(HEADER_S, self._refuse, "no PROXY header")
        else:
            self._begin(self._transport)

    def _begin(self, transport: asyncio.Transport, data: bytes = b"") -> None:
        """Hand the connection over to the HTTP server, with what was read behind the header."""
        if self._patience is not None:
            self._patience.cancel()
        self._inner = self._make()
        self._inner.connection_made(transport)
        if data:
            self._inner.data_received(data)

    def _refuse(self, reason: str) -> None:
        MALFORMED.count += 1
        logger.warning("a proxy did not send its PROXY header", extra={"reason": reason})
        if self._patience is not None:
            self._patience.cancel()
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read the header, or pass data on."""
        if self._inner is not None:
            self._inner.data_received(data)
            return
        self._buffer += data
        try:
            told = read_header(self._buffer)
        except HeaderError as error:
            self._refuse(str(error))
            return
        if told is not None and self._transport is not None:
            self._proxied.note(self._transport, told)
            rest, self._buffer = self._buffer[told.size :], b""
            self._begin(self._transport, rest)

    def eof_received(self) -> bool | None:
        """Pass the end of the data on."""
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on, and forget the connection."""
        if self._patience is not None:
            self._patience.cancel()
        self._proxied.forget(self._transport)
        if self._inner is not None:
            self._inner.connection_lost(exc)


class ProxyRunner(web.AppRunner):
    """A runner whose sites read the header of connections from trusted proxies."""

    __slots__ = ("_proxied",)

    def __init__(self, app: web.Application, proxied: Proxied, **options: object) -> None:
        """Prepare; `options` are those of aiohttp's runner."""
        super().__init__(app, **options)  # type: ignore[arg-type]
        self._proxied = proxied

    @property
    def server(self):  # type: ignore[no-untyped-def]  # noqa: ANN201  (only a site calls it)
        """Return what a site makes a connection with."""
        make = super().server
        return None if make is None else lambda: _Connection(make, self._proxied)
