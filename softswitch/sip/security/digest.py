"""Digest authentication of the client: answers to challenges (RFC 7616, RFC 8760, RFC 3261 section 22)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from sipmessage import AuthChallenge, AuthCredentials

from softswitch.sip.syntax.authentication import AuthParameters

ALGORITHMS = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
"""Names on the wire and in hashlib, the strongest first."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Account for answers to challenges."""

    username: str
    """User name of the account, which may differ from that of the address."""
    password: str = field(repr=False)
    realm: str = ""
    """Only realm to answer; "" answers any."""


class NonceCounts:
    """Use counts of nonces: a server takes a repeated count for a replay (RFC 7616 section 3.4)."""

    MOST = 64
    """Most nonces remembered; the one used longest ago is dropped first."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def next(self, nonce: str) -> int:
        """Return the count for the next use of `nonce`, which begins at 1."""
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
    """Answer the first challenge that can be answered; servers put the preferred one first (RFC 8760).

    Args:
        challenges: Challenges of a response with one header name (`authentication.readable_challenges`).
        credentials: Account.
        method: Method of the request.
        uri: Request-URI as the request spells it.
        body: Body of the request, for ``auth-int``.
        cnonce: New random text without quotes.
        counts: Use counts of this account; updated.

    Returns:
        Value of Authorization (401) or Proxy-Authorization (407); None if scheme, algorithm, qop or realm of
        no challenge fit.
    """
    for challenge in challenges:
        if _answerable(challenge, credentials):
            return _answer(challenge, credentials, method, uri, body, cnonce=cnonce, counts=counts)
    return None


def is_stale(challenges: Sequence[AuthChallenge]) -> bool:
    """Return whether the server only found the nonce too old (``stale``), so that a new answer is of use."""
    return any(challenge.parameters.get("stale", "").lower() == "true" for challenge in challenges)


def ha1_of(algorithm: str, username: str, realm: str, password: str) -> str:
    """Return H(A1) of RFC 7616 section 3.4.2 in hexadecimal digits, which can stand for the password.

    Args:
        algorithm: Key of `ALGORITHMS`.
        username: User name of the account.
        realm: Realm that the hash is valid for.
        password: Password.
    """
    return hash_of(algorithm, f"{username}:{realm}:{password}")


def response_of(algorithm: str, key: str, method: str, uri: str, extra: tuple[str, ...]) -> str:
    """Return the response of RFC 7616 section 3.4.1 in hexadecimal digits.

    Args:
        algorithm: Key of `ALGORITHMS`.
        key: Hash of user name, realm and password (`ha1_of`).
        method: Method of the request.
        uri: URI of the credentials; for ``auth-int`` followed by ``:`` and the hash of the body.
        extra: The nonce, or nonce, nc, cnonce and qop.
    """
    return hash_of(algorithm, ":".join([key, *extra, hash_of(algorithm, f"{method}:{uri}")]))


def hash_of(algorithm: str, text: str | bytes) -> str:
    """Return the hash of `text` in lower-case hexadecimal digits."""
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
    """Return the quality of protection to use: "" for RFC 2069, None if no offered one is supported."""
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
    *,
    cnonce: str,
    counts: NonceCounts,
) -> AuthCredentials:
    asked, algorithm, qop = challenge.parameters, _algorithm(challenge), _qop(challenge)
    given = {"username": credentials.username, "realm": asked["realm"], "nonce": asked["nonce"], "uri": uri}
    extra: tuple[str, ...] = (asked["nonce"],)
    target = uri
    if qop:
        count = f"{counts.next(asked['nonce']):08x}"
        given |= {"qop": qop, "nc": count, "cnonce": cnonce}
        extra = (asked["nonce"], count, cnonce, qop)
        target = f"{uri}:{hash_of(algorithm, body)}" if qop == "auth-int" else uri
    key = ha1_of(algorithm, credentials.username, asked["realm"], credentials.password)
    given["response"] = response_of(algorithm, key, method, target, extra)
    # Some servers older than RFC 8760 reject an algorithm parameter that their challenge did not have.
    given |= {name: asked[name] for name in ("algorithm", "opaque") if name in asked}
    return AuthCredentials(scheme="Digest", parameters=AuthParameters(given).for_credentials())
