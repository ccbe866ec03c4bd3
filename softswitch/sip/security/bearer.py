"""Bearer tokens in place of a password (RFC 8898)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sipmessage import AuthCredentials

from softswitch.sip.syntax.grammar import quote


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """What a valid token says."""

    users: frozenset[str]
    """Names of the users that its holder may be."""
    seconds_left: float
    """How long it is valid yet."""


VerifyToken = Callable[[str], TokenHolder | None]
"""Returns what a token says; None for one that is unknown, malformed or expired."""


def bearer_challenge(realm: str, *, server: str = "", error: str = "") -> str:
    """Return a value of WWW-Authenticate (RFC 8898 section 4).

    Args:
        realm: Realm, that of the digest challenges.
        server: URL of the server that gives tokens; empty: it is not told.
        error: Why the token of the request was not taken, such as ``invalid_token`` (RFC 6750 section 3.1).
    """
    value = f"Bearer realm={quote(realm)}"
    if server:
        value += f", authz_server={quote(server)}"
    return f"{value}, error={quote(error)}" if error else value


def select_bearer(credentials: Sequence[AuthCredentials]) -> str | None:
    """Return the token among credentials; None where there is no token."""
    return next((one.token for one in credentials if one.scheme.lower() == "bearer" and one.token), None)
