"""Our answers to challenges: what servers asked for, and how often they may ask."""

from collections.abc import Callable

from sipmessage import AuthChallenge

from softswitch.sip import digest
from softswitch.sip.authentication import readable_challenges
from softswitch.sip.digest import Credentials, NonceCounts
from softswitch.sip.message import Request, Response

_HEADERS = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}
MOST_REALMS = 4
"""Realms answered at the same time: a registrar and the proxies before it."""


class Proof:
    """The challenges answered on behalf of one account.

    They are remembered, so that later requests of a call carry an answer from the start.
    """

    def __init__(self, credentials: Credentials | None, entropy: Callable[[int], bytes]) -> None:
        self._credentials = credentials
        self._entropy = entropy
        self._counts = NonceCounts()
        self._asked: dict[tuple[str, str], list[AuthChallenge]] = {}

    def learn(self, response: Response, answered: set[tuple[str, str]]) -> bool:
        """Take a 401 or 407; return whether answering it makes sense.

        Args:
            response: The challenge.
            answered: Header and realm of what this very request answered already, which is added to: who asks
                again, without a word of a stale nonce, did not like the password.
        """
        if self._credentials is None or response.code not in _HEADERS:
            return False
        asks, header = _HEADERS[response.code]
        worth = False
        challenges = readable_challenges(response.headers.getlist(asks))
        for realm in dict.fromkeys(challenge.parameters.get("realm", "") for challenge in challenges):
            of_realm = [one for one in challenges if one.parameters.get("realm", "") == realm]
            key = (header, realm)
            if key in answered and not digest.is_stale(of_realm):
                continue
            if key not in self._asked and len(self._asked) >= MOST_REALMS:
                continue
            # Only asked whether there is an answer: the first one that is sent must carry the count 1.
            if self._answer(of_realm, "OPTIONS", "sip:x", b"", NonceCounts()) is None:
                continue
            self._asked[key] = of_realm
            answered.add(key)
            worth = True
        return worth

    def attach(self, request: Request) -> None:
        """Write the answers to all that was asked so far."""
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
