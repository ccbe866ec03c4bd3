"""What a route is."""

from dataclasses import dataclass

from softswitch.web.auth import Handler, Refuse


@dataclass(frozen=True, slots=True)
class Route:
    """One route."""

    method: str
    path: str
    handler: Handler
    scope: str
    """``call``, ``admin`` or ``rooms``; empty: everybody."""
    refuse: Refuse | None = None
    """Makes the answer to those who may not; None: in the manner of /call."""
