"""Answers to challenges on behalf of one account (RFC 3261 section 22)."""

from collections.abc import Callable

from sipmessage import AuthChallenge

from softswitch.sip.security import digest
from softswitch.sip.security.digest import Credentials, NonceCounts
from softswitch.sip.syntax.authentication import readable_challenges
from softswitch.sip.syntax.message import Request, Response

_HEADERS = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}
MOST_REALMS = 4
"""Realms answered in one request: a registrar and the proxies before it."""


class Proof:
    """Credentials of one account, and the challenges that it answered.

    Challenges are kept, so that later requests of a call carry an answer from the start.
    """

    def __init__(self, credentials: Credentials | None, entropy: Callable[[int], bytes]) -> None:
        self._credentials = credentials
        self._entropy = entropy
        self._counts = NonceCounts()
        self._asked: dict[tuple[str, str], list[AuthChallenge]] = {}
        """Last challenges by the header that answers them and the realm."""

    def set_credentials(self, credentials: Credentials) -> None:
        """Replace the account; challenges to the former account are dropped."""
        self._credentials = credentials
        self._counts = NonceCounts()
        self._asked.clear()

    def learn(self, response: Response, answered: set[tuple[str, str]]) -> bool:
        """Record the challenges of a 401 or 407; return whether the request should be sent again.

        Args:
            response: The 401 or 407.
            answered: Header and realm of the challenges that this request has answered; updated. A realm that
                challenges again without ``stale`` refused the password, so a further answer is of no use.
        """
        if self._credentials is None or response.code not in _HEADERS:
            return False
        asks, header = _HEADERS[response.code]
        useful = False
        challenges = readable_challenges(response.headers.getlist(asks))
        for realm in dict.fromkeys(challenge.parameters.get("realm", "") for challenge in challenges):
            of_realm = [one for one in challenges if one.parameters.get("realm", "") == realm]
            key = (header, realm)
            if key in answered and not digest.is_stale(of_realm):
                continue
            if key not in self._asked and len(self._asked) >= MOST_REALMS:
                continue
            # A trial with counts of its own: the first answer that is sent must have the nonce count 1.
            if self._answer(of_realm, "OPTIONS", "sip:x", b"", NonceCounts()) is None:
                continue
            self._asked[key] = of_realm
            answered.add(key)
            useful = True
        return useful

    def attach(self, request: Request) -> None:
        """Add the answers to all recorded challenges to a request."""
        for (header, _realm), challenges in self._asked.items():
            answer = self._answer(challenges, request.method, str(request.uri), request.body, self._counts)
            if answer is not None:
                request.headers.add(header, answer)

    def _answer(
        self, challenges: list[AuthChallenge], method: str, uri: str, body: bytes, counts: NonceCounts
    ) -> str | None:
        if self._credentials is None:
            return None
        found = digest.answer(
            challenges,
            self._credentials,
            method=method,
            uri=uri,
            body=body,
            cnonce=self._entropy(8).hex(),
            counts=counts,
        )
        return None if found is None else str(found)
