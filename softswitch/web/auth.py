"""Authentication of requests: API keys and JSON web tokens with scopes, and the Origin of web pages."""

import asyncio
import hmac
import importlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from softswitch.call.authority import GRANTS, Principal
from softswitch.metrics import Metrics
from softswitch.settings import Auth
from softswitch.settings.access_key import AccessKey, HashedKey, hash_key
from softswitch.sip.security.bearer import TokenHolder
from softswitch.web.hosts import Hosts

logger = logging.getLogger(__name__)

SCOPES = frozenset({"call", "admin", "rooms", "supervise"})
TOKEN_PROTOCOL = "softswitch.token."
"""A browser's WebSocket cannot send headers: it may offer this sub-protocol with the token behind it."""
PROTOCOL = "softswitch"

BODY_S = 15.0
"""Longest wait for the body of a request, in seconds, unless the settings say otherwise."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Identity:
    """The holder of a key or token."""

    name: str
    scopes: frozenset[str]
    expires: float | None = field(default=None, compare=False)
    """End of the token, epoch seconds; None: never."""
    account: str = ""
    """Account that its calls and rooms belong to; empty: its name."""
    rooms: Mapping[str, frozenset[str]] | None = None
    """Grants by room id, where its token names rooms."""

    def may_use(self, scope: str) -> bool:
        """Tell whether the holder may use the routes of a scope: those of `admin` may use all of them."""
        return scope in self.scopes or "admin" in self.scopes

    @property
    def principal(self) -> Principal:
        """Return the holder as the table of authority sees it."""
        return Principal(self.account or self.name, self.scopes, self.name, self.rooms)


ANONYMOUS = Identity("", SCOPES)


class Authenticator:
    """Checks keys, tokens and origins."""

    def __init__(
        self,
        auth: Auth,
        metrics: Metrics,
        hosts: Hosts | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read the keys of the settings.

        Args:
            auth: Section of the settings.
            metrics: Counts refusals.
            hosts: Hosts of the switch, whose pages may use it; None: those of the default settings.
            clock: Seconds since the epoch.
        """
        self._hosts = hosts or Hosts()
        self._metrics = metrics
        self._clock = clock
        self.use(auth)

    def use(self, auth: Auth, keys: Sequence[HashedKey] = ()) -> None:
        """Take other keys; sockets that are open stay open.

        Args:
            auth: Section of the settings.
            keys: Keys that were made while the switch ran.
        """
        public = _read_key(auth.jwt_public_key)
        self._open = auth.is_open() and not keys
        named = auth.keys()
        self._keys = [(key.key.encode(), Identity(key.name, frozenset(key.scopes))) for key in named]
        self._hashed = {key.digest: _identity(key.terms) for key in keys}
        self._origins = frozenset(origin.rstrip("/").lower() for origin in auth.origins)
        self._secret = auth.jwt_secret
        self._public = public
        if self._secret or self._public:
            importlib.import_module("jwt")

    def identify(self, request: web.Request) -> Identity | None:
        """Return the sender of a request; None where its credentials are missing or wrong."""
        if self._open:
            return ANONYMOUS
        token = presented(request)
        if not token:
            self._metrics.auth_failures.labels("missing").inc()
            return None
        return self.recognize(token)

    @property
    def is_open(self) -> bool:
        """Tell whether keys are off: every client may do everything."""
        return self._open

    def recognize(self, token: str) -> Identity | None:
        """Return the holder of a key or token; None where it is unknown, expired or malformed."""
        if self._open:
            return ANONYMOUS
        found = None
        try:
            given = token.encode()
        except UnicodeEncodeError:
            # Octets that are not UTF-8 arrive as lone surrogates, which no key or token contains.
            self._metrics.auth_failures.labels("wrong").inc()
            return None
        for key, identity in self._keys:  # Compare all, so that the time does not depend on which one fits.
            if hmac.compare_digest(key, given):
                found = identity
        found = found or self._by_hash(token) or self._by_token(token)
        if found is None:
            self._metrics.auth_failures.labels("wrong").inc()
        return found

    def telephone(self, token: str) -> TokenHolder | None:
        """Return what a JSON web token says of users (a ``VerifyToken``); None for a wrong one.

        Its claim `users` names them, else its subject is the user. It needs the scope `call`.
        """
        claims = self._claims(token)
        found = None
        if claims is not None and "call" in _holder(claims).scopes:
            users = claims.get("users")
            names = _words(users) if users is not None else [str(claims.get("sub") or "")]
            found = TokenHolder(frozenset(filter(None, names)), float(claims["exp"]) - self._clock())
        if found is None or found.seconds_left <= 0:
            self._metrics.auth_failures.labels("wrong").inc()
            return None
        return found

    def lists(self, origin: str) -> bool:
        """Tell whether an Origin is one of ``[auth] origins``."""
        return origin.rstrip("/").lower() in self._origins

    def may_come_from(self, request: web.Request) -> bool:
        """Tell whether a request comes from no web page, or from a page that may use the switch."""
        origin = request.headers.get("Origin")
        if origin is None:
            return True
        if self.lists(origin) or self._hosts.is_own(origin, request.host):
            return True
        self._metrics.auth_failures.labels("origin").inc()
        return False

    def _by_hash(self, key: str) -> Identity | None:
        found = self._hashed.get(hash_key(key))
        if found is None or (found.expires is not None and found.expires <= self._clock()):
            return None
        return found

    def _by_token(self, token: str) -> Identity | None:
        claims = self._claims(token)
        return None if claims is None else _holder(claims)

    def _claims(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a valid JSON web token; None for any other text."""
        if not (self._secret or self._public):
            return None
        import jwt  # noqa: PLC0415  (with cryptography 11 MB; `use` has imported it by now)

        ways: list[tuple[str, Sequence[str]]] = []
        if self._secret:
            ways.append((self._secret, ("HS256",)))
        if self._public:
            ways.append((self._public, ("RS256", "ES256", "EdDSA")))
        for key, algorithms in ways:
            try:
                claims = jwt.decode(token, key, algorithms=list(algorithms), options={"require": ["exp"]})
                _holder(claims)
            except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
                continue  # the claims of a token may be any JSON
            return dict(claims)
        return None


def _identity(key: AccessKey) -> Identity:
    return Identity(key.name, frozenset(key.scopes), key.expires_at(), account=key.account or key.name)


def _holder(claims: Mapping[str, Any]) -> Identity:
    """Return the holder of a verified token.

    Args:
        claims: `sub`, `scope` (words) or `scopes` (a list), `exp`; `account`, else the subject is the
            account; `rooms`: grants by room id or `*`, which bring the scope `rooms` with them.
    """
    scopes = claims.get("scope", claims.get("scopes", ""))
    names = scopes.split() if isinstance(scopes, str) else _words(scopes)
    known = frozenset(names) & SCOPES
    # An empty account is the administrator's: no token may have it by leaving it out.
    name = str(claims.get("sub") or "token")
    account = claims.get("account")
    given = claims.get("rooms")
    if given is None:
        rooms = None
    elif isinstance(given, Mapping):
        rooms = {str(room): frozenset(_words(grants)) & GRANTS for room, grants in given.items()}
        known |= {"rooms"}
    else:
        rooms = {}
    return Identity(
        name,
        known,
        float(claims["exp"]),
        account=account if isinstance(account, str) and account else name,
        rooms=rooms,
    )


def _words(value: object) -> list[str]:
    """Return the texts of a list; other values are left out, and so is a value that is not a list."""
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def presented(request: web.Request) -> str:
    """Return the key or token of a request, from a header, the query or a sub-protocol; else empty."""
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


def principal(request: web.Request) -> Principal:
    """Return the sender of a request that :func:`allow` has let in."""
    return request[IDENTITY].principal


Refuse = Callable[[int, str], web.Response]


async def read_body(request: web.Request, seconds: float) -> str:
    """Read the whole body of a request before its handler runs; return what is wrong, or an empty text.

    Args:
        request: The application bounds its body (`max_body`).
        seconds: Longest wait for the last octet.

    Raises:
        web.HTTPRequestEntityTooLarge: The body has more octets than `max_body`.
    """
    try:
        async with asyncio.timeout(seconds):
            await request.read()
    except TimeoutError:
        return f"the body did not arrive within {seconds:g} s ([limits] body_timeout_s)"
    except web.RequestPayloadError as error:
        return f"the body cannot be read: {' '.join(str(error).split())}"
    return ""


def allow(
    authenticator: Authenticator,
    scope: str,
    handler: Handler,
    refuse: Refuse | None = None,
    *,
    body_s: float = BODY_S,
) -> Handler:
    """Return a handler that serves clients with a scope, and administrators; others get 401 or 403.

    Args:
        authenticator: Checks credentials and origins.
        scope: Scope that is needed; empty: no credentials are needed (the page, health).
        handler: Serves the request.
        refuse: Makes the refusal from status and text; None: in the form of the /call API.
        body_s: Longest wait for the body of a request, in seconds.
    """
    refusal = refuse or _refusal

    async def guarded(request: web.Request) -> web.StreamResponse:
        if not authenticator.may_come_from(request):
            return refusal(403, "the Origin of this page is not allowed: see [auth] origins")
        if scope:
            identity = authenticator.identify(request)
            if identity is None:
                answer = refusal(401, "a valid API key or token is required")
                answer.headers["WWW-Authenticate"] = 'Bearer realm="softswitch"'
                return answer
            if not identity.may_use(scope):
                return refusal(403, f"the scope {scope!r} is required")
            request[IDENTITY] = identity
        if request.can_read_body and (wrong := await read_body(request, body_s)):
            answer = refusal(408 if "within" in wrong else 400, wrong)
            answer.force_close()
            return answer
        return await handler(request)

    return guarded


def _refusal(status: int, message: str, code: int | str = 0) -> web.Response:
    return web.json_response({"error": {"code": code or status, "message": message}}, status=status)
