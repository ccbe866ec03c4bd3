"""Digest authentication of the server: challenges, and the check of credentials (RFC 7616, RFC 8760).

A challenge needs no memory: its nonce contains its time, its serial number, and a MAC over both, the realm
and the source address. Only the use counts of nonces whose response was right are kept, in bounded number.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import sipmessage
from sipmessage import AuthCredentials

from softswitch.sip.security import digest
from softswitch.sip.syntax.grammar import MalformedError, quote
from softswitch.sip.syntax.uri import parse_uri

_NONCE = re.compile(r"([0-9a-f]{1,12})-([0-9a-f]{1,12})-[0-9a-f]{32}")
_COUNT = re.compile(r"[0-9A-Fa-f]{8}")
_WINDOW = 64
"""Nonce counts below the highest that are still accepted, since UDP reorders requests."""
_RETRANSMISSION_S = 32.0
"""Seconds for which copies of one request may come (timer H, 64 * T1)."""


class Verdict(Enum):
    """Result of the check of credentials."""

    OK = "ok"
    STALE = "stale"
    """The nonce is too old, unknown or used: challenge again with ``stale``; not a failed login."""
    WRONG = "wrong"
    """Wrong password or unknown user, which are not distinguished: challenge again, count a failed login."""


@dataclass(slots=True)
class _Use:
    """Use of one nonce."""

    issued: float
    """Time of the challenge, in monotonic seconds."""
    highest: int
    """Highest nonce count that has come."""
    seen: int
    """Bit n is set if the count `highest` - n has come."""
    transaction: str
    """Transaction of the highest count."""
    at: float
    """Time of the highest count, in monotonic seconds."""


class Challenger:
    """Creator of challenges and checker of credentials for one realm.

    Args:
        realm: Realm, which phones show to the user; part of the hash.
        secret: At least 16 random bytes, new for each process.
        lifetime_s: Seconds for which a nonce is accepted.
        algorithms: Algorithms to offer, in this order, out of `digest.ALGORITHMS`. RFC 8760 puts the
        strongest
            first. SIPp 3.6 reads the first challenge only; baresip 1.0 fails if it does not know the first.
        most_nonces: Most used nonces remembered.
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
        """Issue time of the youngest nonce whose use was dropped."""

    def challenge(self, now: float, *, stale: bool = False, source: str = "") -> list[str]:
        """Return the values of WWW-Authenticate (401) or Proxy-Authenticate (407), one for each algorithm.

        Args:
            now: Monotonic seconds.
            stale: Whether the last credentials had an old nonce: the peer may try again without asking its
            user.
            source: Address that the nonce is valid for.
        """
        self._issued += 1
        moment, serial = f"{max(0, int(now * 1000)):x}", f"{self._issued:x}"
        nonce = f"{moment}-{serial}-{self._seal(moment, serial, source)}"
        head = f'Digest realm={quote(self.realm)}, nonce="{nonce}"'
        tail = ", stale=true" if stale else ""
        return [f'{head}, algorithm={algorithm}, qop="auth"{tail}' for algorithm in self._algorithms]

    def select(self, credentials: Sequence[AuthCredentials]) -> AuthCredentials | None:
        """Return the digest credentials for this realm, None if there are none."""
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
        password: str | Mapping[str, str] | None,
        now: float,
        *,
        source: str = "",
        transaction: str = "",
        uri: sipmessage.URI | None = None,
    ) -> Verdict:
        """Check credentials in a time that is the same for unknown users and for all wrong passwords.

        Args:
            credentials: From `select`; the user name is ``credentials.parameters["username"]``.
            method: Method of the request.
            password: Password of that user, or its hashes (`digest.ha1_of`) by algorithm; None if there is no
                such user.
            now: Monotonic seconds.
            source: Source address of the request.
            transaction: Identifier shared by the copies of one request (branch, Call-ID and CSeq), which may
                repeat the nonce count.
            uri: Request-URI, whose user and host the credentials must name; None skips this check.
        """
        given: Mapping[str, str] = credentials.parameters or {}
        issued = self._age(given.get("nonce", ""), source)
        # Only credentials with a fresh nonce of this process are checked: every guess is counted, and a
        # sender with a forged source address never received a nonce for it, so it cannot have that address
        # banned.
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

    def _is_right(self, given: Mapping[str, str], method: str, password: str | Mapping[str, str]) -> bool:
        algorithm = given.get("algorithm", "MD5").upper()
        if algorithm not in self._algorithms:
            return False
        nonce, qop = given["nonce"], given.get("qop", "")
        extra = (nonce, given.get("nc", ""), given.get("cnonce", ""), qop) if qop else (nonce,)
        if qop and (qop != "auth" or not given.get("cnonce") or not _COUNT.fullmatch(given.get("nc", ""))):
            return False
        if isinstance(password, str):
            key = digest.ha1_of(algorithm, given.get("username", ""), self.realm, password)
        else:
            key = password.get(algorithm, "")
        expected = digest.response_of(algorithm, key, method, given.get("uri", ""), extra)
        response = given.get("response", "").lower().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(expected.encode(), response) and bool(key)

    def _is_fresh(self, given: Mapping[str, str], issued: float, transaction: str, now: float) -> bool:
        """Record the use of a nonce; return False for a replay. Without qop, a nonce is accepted once."""
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
            # A new highest count moves the window: bit 0 stands for it, older counts move up and out.
            shift = min(count - use.highest, _WINDOW)
            use.seen = (use.seen << shift | 1) & (1 << _WINDOW) - 1
            use.highest, use.transaction, use.at = count, transaction, now
            return True
        # A count below the highest: its bit in the window says whether it has come.
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
            # The use of this nonce is dropped before the nonce expires. Nonces issued up to then are refused
            # as stale, so that the dropped one cannot be replayed.
            self._forgotten = max(self._forgotten, use.issued)


def _names(text: str, uri: sipmessage.URI | None) -> bool:
    """Return whether the URI of credentials has the user and host of `uri`; phones change its parameters."""
    if uri is None:
        return True
    try:
        named = parse_uri(text)
    except MalformedError:
        return False
    return (named.user, named.host.lower()) == (uri.user, uri.host.lower())
