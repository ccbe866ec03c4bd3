"""Fetch over HTTP, within bounds of place, size and time."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from softswitch.egress.address import HTTP, Network, networks, read_url
from softswitch.egress.errors import EgressFailed, EgressRefused
from softswitch.egress.pin import Pin, Resolve, pin, system_resolve

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SECRET_HEADERS = ("Authorization", "Cookie", "Proxy-Authorization")
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back."""

    status: int
    """HTTP status; any, since only the caller knows what it may be."""
    headers: CIMultiDictProxy[str]
    """Headers of the last response; names in any case."""
    body: bytes
    """The body, whole."""
    url: URL
    """Where it came from, after redirects."""


@dataclass(slots=True)
class Counters:
    """How often the door was used."""

    fetched: int = 0
    """Answers fetched."""
    opened: int = 0
    """WebSockets opened."""
    refused: int = 0
    """URLs that may not be dialled."""
    failed: int = 0
    """URLs that did not deliver."""


@dataclass(frozen=True, slots=True)
class _Request:
    """One question on its way through redirects."""

    url: URL
    method: str
    headers: CIMultiDict[str]
    body: bytes | None
    trusted: bool


class Door:
    """Be the door: all that leaves by HTTP passes its rules."""

    def __init__(
        self,
        allow: Sequence[str] = (),
        max_bytes: int = 25 * 1024 * 1024,
        timeout_s: float = 10.0,
        ca_file: str = "",
        resolve: Resolve = system_resolve,
    ) -> None:
        """Set the rules.

        Args:
            allow: networks that are not public and may be dialled all the same (`[egress] allow`).
            max_bytes: size of the largest body, in bytes.
            timeout_s: time for one fetch with all its redirects, in seconds.
            ca_file: file with further certificate authorities (PEM); empty: those of the system alone.
            resolve: the name service.

        Raises:
            ValueError: if `allow` has something else than networks.
            OSError: if `ca_file` cannot be read.
        """
        self.allow: tuple[Network, ...] = networks(allow)
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.tls = ssl.create_default_context()
        if ca_file:
            self.tls.load_verify_locations(ca_file)
        self.counters = Counters()
        self._resolve = resolve

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        trusted: bool = False,
    ) -> Fetched:
        """Send one request and return the whole answer.

        Args:
            url: an http or https URL.
            method: HTTP method.
            headers: headers to send.
            body: body to send.
            trusted: whether the operator wrote the URL (in the settings); then private addresses are meant.

        Raises:
            EgressRefused: if the URL, or one it redirects to, may not be dialled.
            EgressFailed: if it is unreachable, too slow, too big or not to be trusted.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                target = read_url(url, HTTP, trusted=trusted)
                request = _Request(target, method, CIMultiDict(headers or {}), body, trusted)
                fetched = await self._follow(request)
        except EgressRefused:
            self.counters.refused += 1
            raise
        except EgressFailed:
            self.counters.failed += 1
            raise
        except TimeoutError as error:
            self.counters.failed += 1
            raise EgressFailed(f"the URL did not deliver within {self.timeout_s:g} s") from error
        self.counters.fetched += 1
        return fetched

    async def pin(self, url: URL, *, trusted: bool) -> Pin:
        """Resolve and check the host of a URL, as `softswitch.egress.pin.pin` does."""
        return await pin(url, self.allow, self._resolve, trusted=trusted)

    async def _follow(self, request: _Request) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            fetched = await self._send(request)
            place = fetched.headers.get("Location", "")
            if fetched.status not in _REDIRECTS or not place:
                return fetched
            request = _redirected(request, fetched.status, place)
        raise EgressFailed(f"the URL redirects more than {MAX_REDIRECTS} times")

    async def _send(self, request: _Request) -> Fetched:
        pinned = await self.pin(request.url, trusted=request.trusted)
        headers = request.headers.copy()
        # A body that unpacks to a thousand times its size would pass the bound on what comes over the wire.
        headers["Accept-Encoding"] = "identity"
        try:
            async with (
                aiohttp.ClientSession(
                    connector=pinned.connector(self.tls),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=None),
                    auto_decompress=False,
                ) as session,
                session.request(
                    request.method, request.url, headers=headers, data=request.body, allow_redirects=False
                ) as response,
            ):
                if response.status in _REDIRECTS and "Location" in response.headers:
                    return Fetched(response.status, response.headers, b"", request.url)
                return Fetched(response.status, response.headers, await self._read(response), request.url)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise EgressFailed(f"the URL cannot be fetched ({type(error).__name__})") from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise EgressFailed("the URL answers with a compressed body although none was asked for")
        if (response.content_length or 0) > self.max_bytes:
            raise EgressFailed(f"the URL delivers more than {self.max_bytes} bytes")
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > self.max_bytes:
                raise EgressFailed(f"the URL delivers more than {self.max_bytes} bytes")
        return bytes(body)


def _redirected(request: _Request, status: int, place: str) -> _Request:
    """Return the request that a redirect asks for (RFC 9110 section 15.4), checked like the first one."""
    try:
        joined = str(request.url.join(URL(place, encoded=place.isascii())))
    except ValueError as error:
        raise EgressRefused("the URL redirects to something that cannot be read") from error
    same_origin = read_url(joined, HTTP, trusted=True).origin() == request.url.origin()
    # The operator trusts what he wrote down, not wherever that server likes to send us.
    trusted = request.trusted and same_origin
    url = read_url(joined, HTTP, trusted=trusted)
    method, body, headers = request.method, request.body, request.headers.copy()
    if status == 303 or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
        headers.pop("Content-Type", None)
    if not same_origin:
        for name in _SECRET_HEADERS:
            headers.pop(name, None)
    return _Request(url, method, headers, body, trusted)
