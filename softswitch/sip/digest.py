"""Digest answers of a client (RFC 7616, RFC 8760, RFC 3261 section 22)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from sipmessage import AuthChallenge, AuthCredentials

from softswitch.sip.authentication import AuthParameters

ALGORITHMS = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
"""Of the wire to those of hashlib, the strongest first."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a server that asks."""

    username: str
    """The one of the account, which is not always that of the address."""
    password: str = field(repr=False)
    realm: str = ""
    """The only realm these are meant for; "" answers any."""


class NonceCounts:
    """Count the uses of each nonce: one that comes twice is a replay to a server (RFC 7616 section 3.4)."""

    MOST = 64
    """Nonces remembered; the oldest is forgotten first."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def next(self, nonce: str) -> int:
        """Count one more use of `nonce`, from 1."""
        count = self._counts.pop(nonce, 0) + 1
        while len(self._counts) >= self.MOST:
            del self._counts[next(iter(self._counts))]
        self._counts[nonce] = count
        return count

    def __contains__(self, nonce: str) -> bool:
        return nonce in self._counts


def answer(
    challenges: Sequence[AuthChallenge],
    credentials: Credentials,
    *,
    method: str,
    uri: str,
    body: bytes = b"",
    cnonce: str,
    counts: NonceCounts,
) -> AuthCredentials | None:
    """Answer the first challenge that can be answered; the one a server likes best comes first (RFC 8760).

    Args:
        challenges: All of a response (`authentication.readable_challenges`), of one header name.
        credentials: Who we are.
        method: Of the request.
        uri: Its Request-URI, as it is written there.
        body: Its body, for ``auth-int``.
        cnonce: Fresh entropy, as text without quotes.
        counts: Of this account; the use is counted here.

    Returns:
        What goes into Authorization (401) or Proxy-Authorization (407), None where no challenge is for us:
        other scheme, algorithm, qop or realm.
    """
    for challenge in challenges:
        if _answerable(challenge, credentials):
            return _answer(challenge, credentials, method, uri, body, (cnonce, counts))
    return None


def is_stale(challenges: Sequence[AuthChallenge]) -> bool:
    """Tell whether the server says that only the nonce was too old: worth one more answer."""
    return any(challenge.parameters.get("stale", "").lower() == "true" for challenge in challenges)


def response_of(
    algorithm: str, secret: tuple[str, str, str], method: str, uri: str, extra: tuple[str, ...]
) -> str:
    """Compute the response of RFC 7616 section 3.4.1 in hex.

    Args:
        algorithm: A key of `ALGORITHMS`.
        secret: User name, realm and password.
        method: Of the request.
        uri: That of the credentials; for ``auth-int`` with ``:`` and the hash of the body.
        extra: Nonce alone, or nonce, nc, cnonce and qop.
    """
    key = hash_of(algorithm, ":".join(secret))
    return hash_of(algorithm, ":".join([key, *extra, hash_of(algorithm, f"{method}:{uri}")]))


def hash_of(algorithm: str, text: str | bytes) -> str:
    """Hash in the words of the digest: hex, in lower case."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return hashlib.new(ALGORITHMS[algorithm], data, usedforsecurity=False).hexdigest()


def _answerable(challenge: AuthChallenge, credentials: Credentials) -> bool:
    parameters = challenge.parameters
    return (
        challenge.scheme.lower() == "digest"
        and "nonce" in parameters
        and "realm" in parameters
        and credentials.realm in {"", parameters["realm"]}
        and _algorithm(challenge) in ALGORITHMS
        and _qop(challenge) is not None
    )


def _algorithm(challenge: AuthChallenge) -> str:
    return challenge.parameters.get("algorithm", "MD5").upper()


def _qop(challenge: AuthChallenge) -> str | None:
    """Choose the quality of protection: "" is that of RFC 2069, None where none of those offered is known."""
    if "qop" not in challenge.parameters:
        return ""
    offered = [option.strip().lower() for option in challenge.parameters["qop"].split(",")]
    return next((option for option in ("auth", "auth-int") if option in offered), None)


def _answer(
    challenge: AuthChallenge,
    credentials: Credentials,
    method: str,
    uri: str,
    body: bytes,
    freshness: tuple[str, NonceCounts],
) -> AuthCredentials:
    asked, algorithm, qop = challenge.parameters, _algorithm(challenge), _qop(challenge)
    cnonce, counts = freshness
    given = {"username": credentials.username, "realm": asked["realm"], "nonce": asked["nonce"], "uri": uri}
    extra: tuple[str, ...] = (asked["nonce"],)
    target = uri
    if qop:
        count = f"{counts.next(asked['nonce']):08x}"
        given |= {"qop": qop, "nc": count, "cnonce": cnonce}
        extra = (asked["nonce"], count, cnonce, qop)
        target = f"{uri}:{hash_of(algorithm, body)}" if qop == "auth-int" else uri
    secret = (credentials.username, asked["realm"], credentials.password)
    given["response"] = response_of(algorithm, secret, method, target, extra)
    # Some servers of the days before RFC 8760 stumble over an algorithm they never named.
    given |= {name: asked[name] for name in ("algorithm", "opaque") if name in asked}
    return AuthCredentials(scheme="Digest", parameters=AuthParameters(given).for_credentials())
