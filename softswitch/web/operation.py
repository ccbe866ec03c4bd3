"""One REST operation as its description and its route need it."""

from dataclasses import dataclass

import msgspec

from softswitch.web.auth import Handler


@dataclass(frozen=True, slots=True)
class Operation:
    """A method on a path."""

    method: str
    path: str
    handler: Handler
    summary: str
    gives: type[msgspec.Struct]
    """Body of the answer."""
    takes: type[msgspec.Struct] | None = None
    """Body of the request."""
    status: int = 200
    optional: bool = False
    """Whether the body may be absent."""
    refusals: tuple[int, ...] = (400, 401, 404)
    query: tuple[str, ...] = ()
    """Names of parameters of the query."""
