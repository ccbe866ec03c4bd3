"""Responses to challenges; pyVoIP has MD5 without qop and 401 only, and waits endlessly after a 407."""

from secrets import token_hex

from softswitch.legs.pyvoip.account import Account
from softswitch.sip.security.digest import Credentials, NonceCounts, answer, is_stale
from softswitch.sip.syntax.authentication import readable_challenges
from softswitch.sip.syntax.message import Request, Response

_HEADERS = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


class Proofs:
    """The credentials of one telephone, and the counters of its nonces."""

    def __init__(self, account: Account) -> None:
        """Use the credentials of the account."""
        self._own = Credentials(account.auth_user or account.username, account.password, account.realm)
        self._counts = NonceCounts()

    def proven(
        self, request: Request, response: Response, credentials: Credentials | None = None
    ) -> Request | None:
        """Return a request again, with the credentials that a 401 or 407 asks for.

        Args:
            request: the challenged request.
            response: the challenge.
            credentials: credentials in place of the account's.

        Returns:
            The new request, without Via; None where the challenge cannot be met, or was met in vain.
        """
        asked, given = _HEADERS[response.code]
        challenges = readable_challenges(response.headers.getlist(asked))
        mine = credentials or self._own
        if not mine.password or (given in request.headers and not is_stale(challenges)):
            return None
        proof = answer(
            challenges, mine, method=request.method, uri=str(request.uri), body=request.body,
            cnonce=token_hex(8), counts=self._counts,
        )  # fmt: skip
        if proof is None:
            return None
        again = Request(request.method, request.uri, request.body)
        again.headers = request.headers.copy()
        again.headers.remove("Via")
        again.headers.set("CSeq", f"{request.cseq.sequence + 1} {request.method}")
        again.headers.set(given, str(proof))
        return again
