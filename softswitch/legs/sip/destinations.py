"""Destinations of an outgoing call: what the dial plan finds for a callee and the calling leg invites."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from softswitch.call.interfaces import LegRequest
from softswitch.legs.sip.media.shared import MediaOptions
from softswitch.sip.session.invitation import Invitation


@dataclass(frozen=True, slots=True)
class Destination:
    """One device or one trunk that gets an INVITE."""

    invitation: Invitation
    """The INVITE without its offer, which the leg's media make."""
    options: MediaOptions


@dataclass(frozen=True, slots=True)
class Dialled:
    """All destinations of one callee."""

    destinations: tuple[Destination, ...]
    """All ring at once; the first to answer gets the call."""
    release: Callable[[], None]
    """Ends the call's share of its trunk's limits (`max_calls`): when it is redirected, and at the end."""
    trunk: str = ""
    """Name of that trunk; empty where the call uses none."""
    user: str = ""
    """Name of the user whose devices they are; empty for none."""


class Dialler(Protocol):
    """Finder of destinations; its methods raise DialError or NotNowError."""

    @property
    def redirects(self) -> int:
        """Return how many redirections one call may follow."""

    async def dial(self, request: LegRequest) -> Dialled:
        """Find the destinations of a request."""

    async def redirect(self, request: LegRequest, origin: Dialled, target: str) -> Dialled:
        """Find the destinations of a URI that one of the destinations `origin` redirects to."""


@dataclass(frozen=True, slots=True)
class FarPhones:
    """The phones of a user that are connected with another machine of this switch."""

    host: str
    port: int
    """Where that machine takes internal legs."""
    headers: dict[str, str]
    """Signed headers of the INVITE."""


FindFar = Callable[[str, str], FarPhones | None]
"""Finds the phones of a user at a machine; None: it cannot be reached now."""


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A callee that the rules of the settings give for the target of a user's call forwarding."""

    callee: str
    trunk: str = ""
    caller: str = ""
    """Caller to show; empty: the caller itself."""


Forwarding = Callable[[str, str], Forwarded]
"""Applies the rules of the settings to an extension and a caller; raises DialError where they refuse it."""
