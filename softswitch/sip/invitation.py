"""What an outgoing call wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from softswitch.sip.digest import Credentials
from softswitch.sip.flow import Flow


@dataclass(frozen=True, slots=True)
class Invitation:
    """An outgoing call."""

    request_uri: str
    """URI that is called, ``sip:``, ``sips:`` or ``tel:``."""
    from_: str
    """From without tag, as a name-addr: ``"Anna" <sip:anna@example.org>``."""
    to: str
    """To without tag, as a name-addr."""
    targets: tuple[Flow, ...]
    """Where to send it, in order of fail-over; at least one."""
    sdp: str | None = None
    """Our offer, None leaves the offer to the far end (delayed offer)."""
    call_id: str = ""
    """Call-ID, "" makes one."""
    contact_user: str = ""
    """User part of our Contact; its host and port are the flow's."""
    contact: str = ""
    """Whole URI of our Contact in place of the one made from the flow."""
    route: tuple[str, ...] = ()
    """Route headers (outbound proxies), each a name-addr."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers; those the stack writes itself are left out."""
    credentials: Credentials | None = None
    session_expires: int | None = None
    """Session interval (RFC 4028) in seconds, None: the agent's, 0: none."""
    reliable: Literal["no", "supported", "required"] = "supported"
    """Reliable provisional responses (RFC 3262)."""
    follow_redirects: int = 0
    """Redirections (3xx) to follow; 0 reports them as `Rejected` with contacts."""
    max_forwards: int = 70
