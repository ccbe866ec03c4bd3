"""Digest on the side that asks: challenges, and what comes back (RFC 7616, RFC 8760).

Nothing is kept for a challenge: a nonce carries its age, its number, and a seal over both, the realm and the
source it was sent to. What is kept, bounded, is the use of nonces by those who proved to know a password.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import sipmessage
from sipmessage import AuthCredentials

from softswitch.sip import digest
from softswitch.sip.grammar import MalformedError, quote
from softswitch.sip.uri import parse_uri

_NONCE = re.compile(r"([0-9a-f]{1,12})-([0-9a-f]{1,12})-[0-9a-f]{32}")
_COUNT = re.compile(r"[0-9A-Fa-f]{8}")
_WINDOW = 64
"""Counts behind the highest that may still come: UDP reorders."""
_RETRANSMISSION_S = 32.0
"""Timer H: how long copies of one request may come."""


class Verdict(Enum):
    """What credentials are worth."""

    OK = "ok"
    STALE = "stale"
    """The nonce is not of today, or was used before: challenge again with ``stale``; no failed login."""
    WRONG = "wrong"
    """Wrong password or unknown user, which look the same: challenge again, and count it."""


@dataclass(slots=True)
class _Use:
    issued: float
    highest: int
    seen: int
    """Bit n: the count `highest` - n has come."""
    transaction: str
    at: float


class Challenger:
    """Ask for a password, and judge the answer.

    Args:
        realm: Shown to the user; part of what is hashed.
        secret: At least 16 bytes of entropy, fresh for each process.
        lifetime_s: How long one nonce serves.
        algorithms: Offered in this order, out of `digest.ALGORITHMS`. RFC 8760 wants the best one first, but
            SIPp 3.6 looks at the first only, and baresip 1.0 gives up where it does not know that one.
        most_nonces: How many used nonces are remembered.
    """

    def __init__(
        self,
        realm: str,
        secret: bytes,
        *,
        lifetime_s: float = 300.0,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        most_nonces: int = 10_000,
    ) -> None:
        self.realm = realm
        self._secret = secret
        self._lifetime_s = lifetime_s
        self._algorithms = tuple(algorithms)
        self._most_nonces = most_nonces
        self._issued = 0
        self._uses: dict[str, _Use] = {}
        self._forgotten = float("-inf")

    def challenge(self, now: float, *, stale: bool = False, source: str = "") -> list[str]:
        """Make the values of WWW-Authenticate (401) or Proxy-Authenticate (407), one line each.

        Args:
            now: Monotonic seconds.
            stale: The last answer came with an old nonce: the peer may try again without asking its user.
            source: Address that the nonce is good for.
        """
        self._issued += 1
        moment, serial = f"{max(0, int(now * 1000)):x}", f"{self._issued:x}"
        nonce = f"{moment}-{serial}-{self._seal(moment, serial, source)}"
        head = f'Digest realm={quote(self.realm)}, nonce="{nonce}"'
        tail = ", stale=true" if stale else ""
        return [f'{head}, algorithm={algorithm}, qop="auth"{tail}' for algorithm in self._algorithms]

    def ours(self, credentials: Sequence[AuthCredentials]) -> AuthCredentials | None:
        """Choose the credentials that answer this realm, None where there are none."""
        for one in credentials:
            if (
                one.scheme.lower() == "digest"
                and one.parameters
                and one.parameters.get("realm") == self.realm
            ):
                return one
        return None

    def check(
        self,
        credentials: AuthCredentials,
        method: str,
        password: str | None,
        now: float,
        *,
        source: str = "",
        transaction: str = "",
        uri: sipmessage.URI | None = None,
    ) -> Verdict:
        """Judge credentials, in the same time for every user and every wrong password.

        Args:
            credentials: From `ours`; the user's name is ``credentials.parameters["username"]``.
            method: Of the request.
            password: Of that user, None where nobody has this name.
            now: Monotonic seconds.
            source: Address that the request came from.
            transaction: What the copies of one request have in common (branch, Call-ID and CSeq): within it a
                nonce count may come again.
            uri: The Request-URI, which the credentials must name (user and host); None leaves that unproven.
        """
        given: Mapping[str, str] = credentials.parameters or {}
        issued = self._age(given.get("nonce", ""), source)
        # Whether a password is right is told for our own fresh nonces only: no guess goes uncounted, and who
        # writes a false source address never has a nonce for it and cannot have its owner banned.
        if issued is None or not issued <= now <= issued + self._lifetime_s:
            return Verdict.STALE
        right = self._is_right(given, method, password or "")
        if not right or password is None or not _names(given.get("uri", ""), uri):
            return Verdict.WRONG
        return Verdict.OK if self._is_fresh(given, issued, transaction, now) else Verdict.STALE

    def _seal(self, moment: str, serial: str, source: str) -> str:
        text = f"{moment}\0{serial}\0{self.realm}\0{source}"
        return hmac.digest(self._secret, text.encode("utf-8", "surrogateescape"), "sha256").hex()[:32]

    def _age(self, nonce: str, source: str) -> float | None:
        found = _NONCE.fullmatch(nonce)
        if found is None:
            return None
        moment, serial = found.groups()
        sealed = f"{moment}-{serial}-{self._seal(moment, serial, source)}"
        return int(moment, 16) / 1000 if hmac.compare_digest(sealed, nonce) else None

    def _is_right(self, given: Mapping[str, str], method: str, password: str) -> bool:
        algorithm = given.get("algorithm", "MD5").upper()
        if algorithm not in self._algorithms:
            return False
        nonce, qop = given["nonce"], given.get("qop", "")
        extra = (nonce, given.get("nc", ""), given.get("cnonce", ""), qop) if qop else (nonce,)
        if qop and (qop != "auth" or not given.get("cnonce") or not _COUNT.fullmatch(given.get("nc", ""))):
            return False
        secret = (given.get("username", ""), self.realm, password)
        expected = digest.response_of(algorithm, secret, method, given.get("uri", ""), extra)
        response = given.get("response", "").lower().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(expected.encode(), response)

    def _is_fresh(self, given: Mapping[str, str], issued: float, transaction: str, now: float) -> bool:
        """Note one use of a nonce; False where this use was there before. Without qop a nonce serves once."""
        nonce = given["nonce"]
        count = int(given["nc"], 16) if given.get("qop") else 1
        use = self._uses.get(nonce)
        if use is None:
            if issued <= self._forgotten:
                return False
            self._make_room(now)
            self._uses[nonce] = _Use(issued, count, 1, transaction, now)
            return True
        if count == use.highest and transaction and transaction == use.transaction:
            return now <= use.at + _RETRANSMISSION_S
        if count > use.highest:
            shift = min(count - use.highest, _WINDOW)
            use.seen = (use.seen << shift | 1) & (1 << _WINDOW) - 1
            use.highest, use.transaction, use.at = count, transaction, now
            return True
        behind = use.highest - count
        if behind >= _WINDOW or use.seen >> behind & 1:
            return False
        use.seen |= 1 << behind
        return True

    def _make_room(self, now: float) -> None:
        while self._uses:
            nonce, use = next(iter(self._uses.items()))
            if use.issued + self._lifetime_s >= now and len(self._uses) < self._most_nonces:
                return
            del self._uses[nonce]
            # Whoever's use is forgotten here has a nonce at most this young: it must not begin a second life.
            self._forgotten = max(self._forgotten, use.issued)


def _names(text: str, uri: sipmessage.URI | None) -> bool:
    """Tell whether the credentials' URI is that of the request; parameters differ between honest phones."""
    if uri is None:
        return True
    try:
        named = parse_uri(text)
    except MalformedError:
        return False
    return (named.user, named.host.lower()) == (uri.user, uri.host.lower())
