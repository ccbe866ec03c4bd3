"""Tokens by which clients come back to their calls: the last one stays good until the next one is used."""

import secrets
from dataclasses import dataclass


@dataclass(slots=True)
class _Pair:
    used: str
    """The token that the client came with last; "" before it came back for the first time."""
    issued: str
    """The token that it was given for the next time."""


class ResumeTokens:
    """The tokens of all calls whose clients may come back.

    A connection may break before its client has read the next token. So the token that it came with leads
    back again, to the same next token, until that one is used.
    """

    def __init__(self) -> None:
        """Start without tokens."""
        self._pairs: dict[str, _Pair] = {}

    def issue(self, call_id: str) -> str:
        """Return the first token of a call; tokens from before are not good any more."""
        token = secrets.token_urlsafe(24)
        self._pairs[call_id] = _Pair("", token)
        return token

    def use(self, call_id: str, token: str) -> str | None:
        """Return the next token for a client that comes with this one; None: the token is wrong."""
        pair = self._pairs.get(call_id)
        if pair is None or not token:
            return None
        given = token.encode()
        if secrets.compare_digest(pair.issued.encode(), given):
            pair.used, pair.issued = pair.issued, secrets.token_urlsafe(24)
        elif not pair.used or not secrets.compare_digest(pair.used.encode(), given):
            return None
        return pair.issued

    def forget(self, call_id: str) -> None:
        """Drop the tokens of a call that has ended."""
        self._pairs.pop(call_id, None)
