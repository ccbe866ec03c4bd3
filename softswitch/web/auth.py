"""Who may use which route: API keys and JSON web tokens with scopes, and the Origin of web pages."""

import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import jwt
from aiohttp import web

from softswitch.metrics import Metrics
from softswitch.settings import Auth

logger = logging.getLogger(__name__)

SCOPES = frozenset({"call", "admin", "rooms"})
TOKEN_PROTOCOL = "softswitch.token."
"""A browser's WebSocket cannot send headers: it may offer this sub-protocol with the token behind it."""
PROTOCOL = "softswitch"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who may use the switch."""

    name: str
    scopes: frozenset[str]
    expires: float | None = field(default=None, compare=False)
    """When its token does, epoch seconds; None: never."""


ANYBODY = Identity("", SCOPES)


class Gate:
    """Knows the keys."""

    def __init__(self, auth: Auth, metrics: Metrics) -> None:
        """Read the keys of the settings."""
        self._open = auth.is_open()
        keys = auth.keys()
        self._keys = [(key.key.encode(), Identity(key.name, frozenset(key.scopes))) for key in keys]
        self._origins = frozenset(origin.rstrip("/").lower() for origin in auth.origins)
        self._secret = auth.jwt_secret
        self._public = _read_key(auth.jwt_public_key)
        self._metrics = metrics

    def identify(self, request: web.Request) -> Identity | None:
        """Return who sends a request; None where the credentials are missing or wrong."""
        if self._open:
            return ANYBODY
        token = presented(request)
        if not token:
            self._metrics.auth_failures.labels("missing").inc()
            return None
        return self.recognize(token)

    @property
    def is_open(self) -> bool:
        """Whether nobody has to prove anything."""
        return self._open

    def recognize(self, token: str) -> Identity | None:
        """Return whose key or token this is; None where it is nobody's."""
        if self._open:
            return ANYBODY
        found = None
        given = token.encode("utf-8", "replace")
        for key, identity in self._keys:  # All of them, so that the time tells nothing.
            if hmac.compare_digest(key, given):
                found = identity
        found = found or self._by_token(token)
        if found is None:
            self._metrics.auth_failures.labels("wrong").inc()
        return found

    def lists(self, origin: str) -> bool:
        """Tell whether an Origin is one of ``[auth] origins``."""
        return origin.rstrip("/").lower() in self._origins

    def may_come_from(self, request: web.Request) -> bool:
        """Tell whether the page that makes a request is one of ours, or there is none."""
        origin = request.headers.get("Origin")
        if origin is None:
            return True
        origin = origin.rstrip("/").lower()
        own = urlsplit(origin).netloc == request.host.lower() and urlsplit(origin).scheme in ("http", "https")
        if own or origin in self._origins:
            return True
        self._metrics.auth_failures.labels("origin").inc()
        return False

    def _by_token(self, token: str) -> Identity | None:
        ways: list[tuple[str, Sequence[str]]] = []
        if self._secret:
            ways.append((self._secret, ("HS256",)))
        if self._public:
            ways.append((self._public, ("RS256", "ES256", "EdDSA")))
        for key, algorithms in ways:
            try:
                claims = jwt.decode(token, key, algorithms=list(algorithms), options={"require": ["exp"]})
            except jwt.InvalidTokenError:
                continue
            scopes = claims.get("scope", claims.get("scopes", ""))
            names = scopes.split() if isinstance(scopes, str) else [str(scope) for scope in scopes]
            known = frozenset(names) & SCOPES
            return Identity(str(claims.get("sub", "token")), known, float(claims["exp"]))
        return None


def presented(request: web.Request) -> str:
    """Return the key or token of a request, wherever it carries one."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    for name in ("token", "appid"):
        if value := request.query.get(name, ""):
            return value
    for protocol in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if protocol.strip().startswith(TOKEN_PROTOCOL):
            return protocol.strip().removeprefix(TOKEN_PROTOCOL)
    return ""


def _read_key(text: str) -> str:
    """Return a PEM key given as text or as the name of a file."""
    return (
        text if not text or text.lstrip().startswith("-----BEGIN") else Path(text).read_text(encoding="ascii")
    )


IDENTITY = web.RequestKey("identity", Identity)


Refuse = Callable[[int, str], web.Response]


def allow(gate: Gate, scope: str, handler: Handler, refuse: Refuse | None = None) -> Handler:
    """Return a handler that answers only those with a scope; the others get 401 or 403.

    Args:
        gate: Knows who may do what.
        scope: What is asked for; an empty scope asks for nothing (the page, health).
        handler: Answers the others.
        refuse: Makes the refusal, from status and text; None: in the manner of /call.
    """
    refusal = refuse or _refusal

    async def guarded(request: web.Request) -> web.StreamResponse:
        if not gate.may_come_from(request):
            return refusal(403, "the Origin of this page is not allowed: see [auth] origins")
        if scope:
            identity = gate.identify(request)
            if identity is None:
                answer = refusal(401, "a valid API key or token is required")
                answer.headers["WWW-Authenticate"] = 'Bearer realm="softswitch"'
                return answer
            if scope not in identity.scopes:
                return refusal(403, f"the scope {scope!r} is required")
            request[IDENTITY] = identity
        return await handler(request)

    return guarded


def _refusal(status: int, message: str, code: int | str = 0) -> web.Response:
    return web.json_response({"error": {"code": code or status, "message": message}}, status=status)
