"""A route of the application."""

from dataclasses import dataclass

from softswitch.web.auth import Handler, Refuse


@dataclass(frozen=True, slots=True)
class Route:
    """One route."""

    method: str
    path: str
    handler: Handler
    scope: str
    """``call``, ``admin`` or ``rooms``; empty: no credentials are needed."""
    refuse: Refuse | None = None
    """Makes the answer to clients without valid credentials or scope; None: in the form of the /call API."""
