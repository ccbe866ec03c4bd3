"""A REST operation, from which its route and its description are made."""

from dataclasses import dataclass
from typing import Any

import msgspec

from softswitch.web.auth import Handler


@dataclass(frozen=True, slots=True)
class Operation:
    """A method on a path."""

    method: str
    path: str
    handler: Handler
    summary: str
    gives: Any
    """Type of the body of the answer; None: a file."""
    takes: type[msgspec.Struct] | None = None
    """Body of the request."""
    status: int = 200
    optional: bool = False
    """Whether the body may be absent."""
    refusals: tuple[int, ...] = (400, 401, 404)
    query: tuple[str, ...] = ()
    """Names of parameters of the query."""
