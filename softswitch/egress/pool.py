"""HTTP requests over connections that are kept, with answers that are read while they arrive.

:meth:`EgressClient.fetch` opens a connection for each request and returns the whole body. A speech service
is asked every few seconds and its audio is played while it arrives: it needs both of what is here.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from softswitch.egress.address import HTTP, read_url
from softswitch.egress.errors import EgressFailed, EgressRefused
from softswitch.egress.http import EgressClient
from softswitch.egress.names import SWITCH, Asker

KEEP_S = 60.0
"""Seconds that checked addresses are used for further connections; then the name is resolved again."""
IDLE_S = 30.0
"""Seconds that a connection without a request stays open."""
PER_ORIGIN = 256
"""Connections to one server."""
MAX_ORIGINS = 64
"""Servers with kept connections; the oldest one gives way."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, and its body as it arrives."""

    status: int
    headers: CIMultiDictProxy[str]
    _content: aiohttp.StreamReader
    _max_bytes: int

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in the pieces it arrives in.

        Raises:
            EgressFailed: the connection broke, or the body is larger than `[egress] max_bytes`.
        """
        total = 0
        try:
            async for chunk in self._content.iter_any():
                total += len(chunk)
                if total > self._max_bytes:
                    raise EgressFailed(f"the URL delivers more than {self._max_bytes} bytes")
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise EgressFailed(f"the answer of the URL broke off ({type(error).__name__})") from error

    async def read(self, most: int) -> bytes:
        """Return the body, cut after `most` bytes."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) >= most:
                break
        return bytes(body[:most])


@dataclass(slots=True)
class _Origin:
    """The connections to one server."""

    session: aiohttp.ClientSession
    made_at: float
    requests: int = 0
    retired: bool = False


class EgressPool:
    """Keeps connections to servers, under the rules of an :class:`EgressClient`."""

    def __init__(self, client: EgressClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._origins: dict[tuple[str, bool], _Origin] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def request(
        self,
        url: str,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        trusted: bool = False,
        timeout_s: float = 10.0,
        asker: Asker = SWITCH,
    ) -> AsyncIterator[Answer]:
        """Send a request and give the head of its answer; leaving the block early closes the connection.

        Args:
            url: an http or https URL; redirects are not followed.
            method: HTTP method.
            headers: headers to send.
            body: body to send.
            trusted: whether the operator wrote the URL (in the settings); then private addresses are meant.
            timeout_s: seconds until the head of the answer must be there.
            asker: for whose call or account it is asked.

        Raises:
            EgressRefused: the URL may not be dialled.
            EgressFailed: the server is unreachable or too slow.
        """
        counters = self._client.counters
        try:
            async with asyncio.timeout(timeout_s):
                target = read_url(url, HTTP, trusted=trusted)
                origin = await self._origin(target, trusted=trusted, asker=asker)
                origin.requests += 1
                try:
                    response = await origin.session.request(
                        method,
                        target,
                        headers={**(headers or {}), "Accept-Encoding": "identity"},
                        data=body,
                        allow_redirects=False,
                    )
                except BaseException:
                    self._done(origin)
                    raise
        except EgressRefused:
            counters.refused += 1
            raise
        except EgressFailed:
            counters.failed += 1
            raise
        except TimeoutError as error:
            counters.failed += 1
            raise EgressFailed(f"the URL did not answer within {timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            counters.failed += 1
            raise EgressFailed(f"the URL cannot be fetched ({type(error).__name__})") from error
        counters.fetched += 1
        try:
            yield Answer(response.status, response.headers, response.content, self._client.max_bytes)
        finally:
            # Gives the connection back where the body was read to its end, else closes it.
            if response.content.at_eof():
                response.release()
            else:
                response.close()
            self._done(origin)

    async def close(self) -> None:
        """Close all connections."""
        origins, self._origins = list(self._origins.values()), {}
        for origin in origins:
            await origin.session.close()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _origin(self, url: URL, *, trusted: bool, asker: Asker) -> _Origin:
        key = (str(url.origin()), trusted)
        found = self._origins.get(key)
        if found is not None and self._clock() - found.made_at < KEEP_S:
            return found
        pinned = await self._client.pin(url, trusted=trusted, asker=asker)
        # Another request may have made it while the name was looked up.
        again = self._origins.get(key)
        if again is not None and again is not found:
            return again
        connector = aiohttp.TCPConnector(
            resolver=pinned,
            use_dns_cache=False,
            ssl=self._client.tls,
            keepalive_timeout=IDLE_S,
            limit=PER_ORIGIN,
            socket_factory=pinned.make_socket,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        if found is not None:
            self._retire(key)
        elif len(self._origins) >= MAX_ORIGINS:
            self._retire(next(iter(self._origins)))
        made = self._origins[key] = _Origin(session, self._clock())
        return made

    def _retire(self, key: tuple[str, bool]) -> None:
        origin = self._origins.pop(key)
        origin.retired = True
        if not origin.requests:
            self._close(origin)

    def _done(self, origin: _Origin) -> None:
        origin.requests -= 1
        if origin.retired and not origin.requests:
            self._close(origin)

    def _close(self, origin: _Origin) -> None:
        task = asyncio.get_running_loop().create_task(origin.session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
