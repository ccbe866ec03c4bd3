"""Host names that the switch answers to, and the headers of trusted proxies.

A page of a stranger can make its own name lead to this machine (DNS rebinding): a browser then takes the
switch for that page's own server. Only the Host header tells, so every request is looked at before any route.
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from softswitch.metrics import Metrics
from softswitch.settings import Http
from softswitch.sip.security.guard import is_within
from softswitch.sip.syntax.hosts import canonical, is_numeric
from softswitch.web.errors import answer
from softswitch.web.proxy_protocol import Proxied

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_PORTS = {"http": 80, "https": 443}
MAX_HOPS = 16
"""Most addresses of one X-Forwarded-For that are read."""


class Hosts:
    """The hosts that this switch answers as."""

    def __init__(self, bound: str = "127.0.0.1", listed: Sequence[str] = ()) -> None:
        """Take them from the settings.

        Args:
            bound: `[http] host`.
            listed: `[http] hosts`.
        """
        self._bound = canonical(bound)
        # No name leads to a number, so an address is safe from rebinding: all of the machine's are bound.
        self._numbers = bound in ("", "0.0.0.0", "::")  # noqa: S104  (compared, not bound)
        self._listed = [read for text in listed if (read := read_host(text)) is not None]

    def admits(self, host: str) -> bool:
        """Tell whether a Host header names this switch: loopback, the bound address, or a listed host."""
        read = read_host(host)
        if read is None:
            return False
        name, port = read
        if name in ("localhost", self._bound) or (self._numbers and is_numeric(name)):
            return True
        if is_numeric(name) and ipaddress.ip_address(name).is_loopback:
            return True
        return any(name == listed and wanted in (None, port) for listed, wanted in self._listed)

    def is_own(self, origin: str, host: str) -> bool:
        """Tell whether an Origin is the page of this switch itself.

        Args:
            origin: The Origin header; one that cannot be read is foreign.
            host: The Host header of the same request.
        """
        try:
            parts = urlsplit(origin.strip().lower())
            usual = _PORTS.get(parts.scheme)
            read = read_host(parts.netloc)
        except ValueError:
            return False
        if usual is None or read is None or not self.admits(host):
            return False
        name, port = read[0], read[1] or usual
        here = read_host(host)
        ports = {here[1]} if here is not None and here[1] else set(_PORTS.values())
        if here is not None and name == here[0] and port in ports:
            return True
        return any(name == listed and port == (wanted or usual) for listed, wanted in self._listed)


class Front:
    """The check of the host and of the headers of trusted proxies, before all routes."""

    def __init__(self, http: Http, metrics: Metrics) -> None:
        """Take hosts and proxies from the settings."""
        self.hosts = Hosts(http.host, http.hosts)
        self._proxies = http.proxies()
        self._metrics = metrics
        self.proxied = Proxied(self._proxies) if http.proxy_protocol else None
        """What headers of the PROXY protocol told; None where they are off."""

    def seen(self, request: web.Request) -> web.Request:
        """Return a request as its client sent it where trusted proxies passed it on, else as it is."""
        peer = request.remote or ""
        if not self._proxies or not is_within(peer, self._proxies):
            return request
        header = self.proxied.told(request.transport) if self.proxied is not None else None
        if header is not None and header.client:
            # This proxy passes bytes on: the headers of the request are the client's own claims.
            seen = {"remote": header.client} | ({"scheme": "https"} if header.is_secure else {})
            request = request.clone(**seen)  # type: ignore[arg-type]
            peer = header.client
            if not is_within(peer, self._proxies):
                return request
        told = request.headers
        changes = {"remote": self._client(peer, told.getall("X-Forwarded-For", []))}
        if hosts := told.getall("X-Forwarded-Host", []):
            changes["host"] = hosts[-1].rpartition(",")[2].strip()
        scheme = told.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
        if scheme in _PORTS:
            changes["scheme"] = scheme
        return request.clone(**changes)  # type: ignore[arg-type]

    def _client(self, peer: str, forwarded: Sequence[str]) -> str:
        """Return the address before the first trusted proxy; a client's own claims lie before that."""
        hops = [hop for line in forwarded for hop in line.split(",")][-MAX_HOPS:]
        while hops and is_within(peer, self._proxies):
            hop = hops.pop().strip()
            read = read_host(hop) or read_host(f"[{hop}]")
            if read is None or not is_numeric(read[0]):
                break
            peer = read[0]
        return peer

    @property
    def middleware(self) -> Middleware:
        """Return what every request passes first; a foreign host gets 421 (RFC 9110 section 15.5.20)."""

        @web.middleware
        async def pass_on(request: web.Request, handler: Handler) -> web.StreamResponse:
            given = request.headers.getall("Host", [])
            seen = self.seen(request)
            # A browser always sends the header; without it the client is a load balancer with HTTP/1.0.
            if len(given) > 1 or ((given or seen is not request) and not self.hosts.admits(seen.host)):
                self._metrics.auth_failures.labels("host").inc()
                return answer(
                    421,
                    f"Host: {seen.host[:80]!r} is no host of this switch; [http] hosts "
                    "(SOFTSWITCH_HTTP_HOSTS) lists those it answers as",
                    {"Connection": "close"},
                )
            return await handler(seen)

        return pass_on


def read_host(text: str) -> tuple[str, int | None] | None:
    """Return name or address in its one spelling, and port, of `host[:port]`; None where it is neither."""
    found = _HOST.fullmatch(text.strip())
    if found is None or int(found[2] or 0) > 65535:
        return None
    return canonical(found[1]), int(found[2]) if found[2] else None
