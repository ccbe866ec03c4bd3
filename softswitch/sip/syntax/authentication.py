"""Parsers of the authentication headers (RFC 3261 section 20.7, RFC 7616, RFC 8760)."""

import contextlib
import re
from collections.abc import Iterator

import sipmessage
from sipmessage import AuthChallenge, AuthCredentials

from softswitch.sip.syntax import grammar
from softswitch.sip.syntax.grammar import MAX_PARAMETERS, MalformedError

_SCHEME = re.compile(rf"[ \t]*+({grammar.TOKEN}++)(?:[ \t]++(.*))?+", re.DOTALL)
_PARAMETER = re.compile(
    rf"[ \t,]*+({grammar.TOKEN}++)[ \t]*+=[ \t]*+({grammar.QUOTED}|[^\s,\"]*+)[ \t]*+(?:,|$)", re.DOTALL
)
_BARE = frozenset(["algorithm", "nc", "stale"])
"""Parameters written without quotes (RFC 3261 section 25.1).

``qop`` is quoted in a challenge and bare in credentials.
"""

_MOST_LINES = 8
"""Lines of one authentication header that are read; there is one per realm and algorithm."""


class AuthParameters(sipmessage.AuthParameters):
    """Parameters of a challenge or of credentials; names are in lower case.

    The library splits ``qop="auth,auth-int"`` at its comma, and quotes the qop of credentials.
    """

    def __init__(self, values: dict[str, str] | None = None, /, *, bare: frozenset[str] = _BARE) -> None:
        super().__init__()
        self._values = dict(values or {})
        self._bare = bare

    @classmethod
    def parse(cls, value: str) -> "AuthParameters":
        """Parse ``name=value, name="value"``.

        Raises:
            MalformedError: It is not such a list, or a name occurs twice.
        """
        values: dict[str, str] = {}
        position, end = 0, len(value)
        while position < end:
            found = _PARAMETER.match(value, position)
            if found is None or len(values) == MAX_PARAMETERS or found.group(1).lower() in values:
                raise MalformedError(400, "Malformed authentication parameters", field="Authorization")
            values[found.group(1).lower()] = grammar.unquote(found.group(2))
            position = found.end()
        return cls(values)

    def replace(self, **changes: str) -> "AuthParameters":
        """Return a copy with some of the values changed or added."""
        return AuthParameters({**self._values, **changes}, bare=self._bare)

    def for_credentials(self) -> "AuthParameters":
        """Return a copy that is written as credentials, with a bare ``qop``."""
        return AuthParameters(self._values, bare=_BARE | {"qop"})

    def __getitem__(self, key: str) -> str:
        return self._values[key.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"AuthParameters({sorted(self._values)})"

    def __str__(self) -> str:
        return ", ".join(
            f"{name}={value if name in self._bare and grammar.is_token(value) else grammar.quote(value)}"
            for name, value in self._values.items()
        )


def parse_challenge(text: str) -> AuthChallenge:
    """Parse one WWW-Authenticate or Proxy-Authenticate value.

    Raises:
        MalformedError: It is malformed.
    """
    scheme, parameters = _cut(text)
    return AuthChallenge(scheme=scheme, parameters=AuthParameters.parse(parameters))


def parse_credentials(text: str) -> AuthCredentials:
    """Parse one Authorization or Proxy-Authorization value; schemes like Bearer have a token only.

    Raises:
        MalformedError: It is malformed.
    """
    scheme, rest = _cut(text)
    if rest and grammar.is_token(rest):
        return AuthCredentials(scheme=scheme, token=rest)
    return AuthCredentials(scheme=scheme, parameters=AuthParameters.parse(rest))


def readable_challenges(lines: list[str]) -> list[AuthChallenge]:
    """Return the well-formed challenges: one of an unknown scheme must not hide one that can be answered."""
    challenges = []
    for line in lines[:_MOST_LINES]:
        with contextlib.suppress(MalformedError):
            challenges.append(parse_challenge(line))
    return challenges


def readable_credentials(lines: list[str]) -> list[AuthCredentials]:
    """Return the well-formed credentials; a request with malformed ones alone is challenged again."""
    credentials = []
    for line in lines[:_MOST_LINES]:
        with contextlib.suppress(MalformedError):
            credentials.append(parse_credentials(line))
    return credentials


def _cut(text: str) -> tuple[str, str]:
    found = _SCHEME.fullmatch(text)
    if found is None:
        raise MalformedError(400, "Malformed authentication header", field="Authorization")
    return found.group(1), (found.group(2) or "").strip(" \t")
