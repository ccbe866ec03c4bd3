"""HTTP client for outgoing requests, with limits on addresses, size and time."""

import asyncio
import io
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from softswitch.egress.address import HTTP, Network, networks, read_url
from softswitch.egress.errors import EgressFailed, EgressRefused
from softswitch.egress.names import SWITCH, Asker, Names
from softswitch.egress.pin import Pin, Resolve, pin

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SECRET_HEADERS = ("Authorization", "Cookie", "Proxy-Authorization")
_CHUNK = 65536


Reserve = Callable[[int], None]
"""Reserves bytes of memory; raises a `SoftswitchError` where there are none left."""


def _no_reserve(size: int) -> None:
    """Reserve nothing."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Response to a request."""

    status: int
    """HTTP status; no status is an error here."""
    headers: CIMultiDictProxy[str]
    """Headers of the last response; look-up ignores case."""
    body: bytes
    """Complete body."""
    url: URL
    """URL after redirects."""


@dataclass(slots=True)
class Counters:
    """Counts of requests made, refused and failed."""

    fetched: int = 0
    """Responses received."""
    opened: int = 0
    """WebSockets opened."""
    refused: int = 0
    """URLs refused by the rules."""
    failed: int = 0
    """Requests and WebSockets that failed."""


@dataclass(frozen=True, slots=True)
class _Request:
    """A request, as changed by the redirects so far."""

    url: URL
    method: str
    headers: CIMultiDict[str]
    body: bytes | BinaryIO | None
    trusted: bool
    asker: Asker
    reserve: Reserve


class EgressClient:
    """HTTP client for all outgoing requests: checks each URL and limits sizes and times."""

    def __init__(
        self,
        allow: Sequence[str] = (),
        max_bytes: int = 25 * 1024 * 1024,
        timeout_s: float = 10.0,
        ca_file: str = "",
        resolve: Resolve | None = None,
    ) -> None:
        """Create a client.

        Args:
            allow: private networks that may be reached (`[egress] allow`).
            max_bytes: largest response body, in bytes.
            timeout_s: longest time for one request with its redirects, in seconds.
            ca_file: file with further certificate authorities (PEM); "" means those of the system only.
            resolve: resolver of host names; by default a new `Names`.

        Raises:
            ValueError: An entry of `allow` is not a network.
            OSError: `ca_file` cannot be read.
        """
        self.allow: tuple[Network, ...] = networks(allow)
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.tls = ssl.create_default_context()
        if ca_file:
            self.tls.load_verify_locations(ca_file)
        self.counters = Counters()
        self._resolve = resolve or Names()

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | BinaryIO | None = None,
        trusted: bool = False,
        asker: Asker = SWITCH,
        redirects: bool = True,
        reserve: Reserve = _no_reserve,
        timeout_s: float | None = None,
    ) -> Fetched:
        """Send a request and return its complete response.

        Args:
            url: http or https URL.
            method: HTTP method.
            headers: headers to send.
            body: body to send; a file is read as it is sent, and is for requests without redirects.
            trusted: whether the URL comes from the settings; then private addresses are permitted.
            asker: account and call that the request is made for.
            redirects: whether redirects are followed; otherwise the redirecting response is returned.
            reserve: called with a number of bytes before so many of the response are read; may raise.
            timeout_s: longest time, seconds; None: that of the client.

        Raises:
            EgressRefused: The rules forbid the URL, or one it redirects to.
            EgressFailed: The server is unreachable, too slow or not trusted, or the body is too large.
        """
        seconds = self.timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(seconds):
                target = read_url(url, HTTP, trusted=trusted)
                request = _Request(target, method, CIMultiDict(headers or {}), body, trusted, asker, reserve)
                fetched = await (self._follow(request) if redirects else self._send(request))
        except EgressRefused:
            self.counters.refused += 1
            raise
        except EgressFailed:
            self.counters.failed += 1
            raise
        except TimeoutError as error:
            self.counters.failed += 1
            raise EgressFailed(f"the URL did not deliver within {seconds:g} s") from error
        self.counters.fetched += 1
        return fetched

    async def pin(self, url: URL, *, trusted: bool, asker: Asker = SWITCH) -> Pin:
        """Resolve and check the host of a URL; see `softswitch.egress.pin.pin`."""
        return await pin(url, self.allow, self._resolve, trusted=trusted, asker=asker)

    async def _follow(self, request: _Request) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            fetched = await self._send(request)
            place = fetched.headers.get("Location", "")
            if fetched.status not in _REDIRECTS or not place:
                return fetched
            request = _redirected(request, fetched.status, place)
        raise EgressFailed(f"the URL redirects more than {MAX_REDIRECTS} times")

    async def _send(self, request: _Request) -> Fetched:
        pinned = await self.pin(request.url, trusted=request.trusted, asker=request.asker)
        headers = request.headers.copy()
        # A compressed body could unpack to a thousand times the bytes that are counted on the wire.
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
                return Fetched(
                    response.status,
                    response.headers,
                    await self._read(response, request.reserve),
                    request.url,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise EgressFailed(f"the URL cannot be fetched ({type(error).__name__})") from error

    async def _read(self, response: aiohttp.ClientResponse, reserve: Reserve) -> bytes:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise EgressFailed("the URL answers with a compressed body although none was asked for")
        if (response.content_length or 0) > self.max_bytes:
            raise EgressFailed(f"the URL delivers more than {self.max_bytes} bytes")
        # Allocate a known size at once and avoid a copy at the end: copying 25 MB takes more than 10 ms.
        reserved = response.content_length or 0
        reserve(reserved)
        body = io.BytesIO(bytes(reserved))
        async for chunk in response.content.iter_chunked(_CHUNK):
            if (more := body.tell() + len(chunk) - reserved) > 0:
                reserve(more)
                reserved += more
            body.write(chunk)
            if body.tell() > self.max_bytes:
                raise EgressFailed(f"the URL delivers more than {self.max_bytes} bytes")
        body.truncate()
        return body.getvalue()


def _redirected(request: _Request, status: int, place: str) -> _Request:
    """Return the request for a redirect (RFC 9110 section 15.4); its URL is checked like the first one."""
    try:
        joined = str(request.url.join(URL(place, encoded=place.isascii())))
    except ValueError as error:
        raise EgressRefused("the URL redirects to a malformed URL") from error
    same_origin = read_url(joined, HTTP, trusted=True).origin() == request.url.origin()
    # The operator trusts the URL in the settings, not other origins that its server redirects to.
    trusted = request.trusted and same_origin
    url = read_url(joined, HTTP, trusted=trusted)
    method, body, headers = request.method, request.body, request.headers.copy()
    if status == 303 or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
        headers.pop("Content-Type", None)
    if not same_origin:
        for name in _SECRET_HEADERS:
            headers.pop(name, None)
    return _Request(url, method, headers, body, trusted, request.asker, request.reserve)
