"""Description of an outgoing call, for `UserAgent.invite`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from softswitch.sip.security.digest import Credentials
from softswitch.sip.transaction.flow import Flow


@dataclass(frozen=True, slots=True)
class Invitation:
    """An outgoing call."""

    request_uri: str
    """URI to call: ``sip:``, ``sips:`` or ``tel:``."""
    from_: str
    """From without tag, as a name-addr: ``"Anna" <sip:anna@example.org>``."""
    to: str
    """To without tag, as a name-addr."""
    targets: tuple[Flow, ...]
    """Servers to send the INVITE to, in order of fail-over; at least one."""
    sdp: str | None = None
    """Offer; None leaves the offer to the called party (delayed offer)."""
    call_id: str = ""
    """Call-ID; "" generates one."""
    contact_user: str = ""
    """User part of the Contact that is made from the flow."""
    contact: str = ""
    """URI for Contact, in place of the one made from the flow."""
    route: tuple[str, ...] = ()
    """Route headers (outbound proxies), each a name-addr."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers to add; those that the stack writes itself are left out."""
    credentials: Credentials | None = None
    """Account that answers challenges."""
    session_expires: int | None = None
    """Session interval to ask for (RFC 4028) in seconds; None takes the agent's, 0 asks for none."""
    reliable: Literal["no", "supported", "required"] = "supported"
    """Use of reliable provisional responses (RFC 3262)."""
    max_forwards: int = 70
