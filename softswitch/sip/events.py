"""Events of the user agent, which the driver takes with `UserAgent.take_events`.

The last event of each session is exactly one of `Rejected` (outgoing), `Cancelled` (incoming) and `Ended`
(either).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.syntax.replaces import Replaces
from softswitch.sip.transaction.flow import Flow

EndReason = Literal["bye", "local", "rejected", "expired", "no_ack", "gone", "media_refused"]
"""Why a session ended.

- ``bye``: the peer sent BYE;
- ``local``, ``rejected``: `UserAgent.bye` or `UserAgent.reject`;
- ``expired``: the session timer ran out (RFC 4028);
- ``no_ack``: the ACK or PRACK did not come;
- ``gone``: the peer does not know the dialog (481) or does not respond (408);
- ``media_refused``: an offer in a response could not be answered.
"""


@dataclass(frozen=True, slots=True)
class Invited:
    """An incoming call; 100 Trying is sent. Follow with `ring`, `answer` or `reject`."""

    session: str
    request: Request
    flow: Flow
    offer: str | None
    """Session description; None for a delayed offer, then `answer` carries the offer."""
    replaces: Replaces | None = None
    replaced: str = ""
    """Session that `replaces` names: answer this call, then end that one with `bye`."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """The called party sent 180 to 199."""

    session: str
    code: int
    reason: str
    sdp: str | None
    """Provisional answer to the offer, for early media."""
    headers: Mapping[str, str] = field(default_factory=dict)
    branch: str = ""
    """Remote tag, which distinguishes the early dialogs of a forked call."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The called party sent 200. The ACK is sent; with `wants_answer` it waits for `accept_offer`."""

    session: str
    sdp: str | None
    """Answer of the peer, with `wants_answer` its offer; None if an early answer was final."""
    headers: Mapping[str, str] = field(default_factory=dict)
    wants_answer: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """An outgoing call failed; a local 408 means no response, a local 503 that it could not be sent."""

    session: str
    code: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)
    contacts: tuple[str, ...] = ()
    """URIs of the Contact headers of a 3xx, the preferred one first; the agent follows none."""
    local: bool = False
    """Whether the stack made the response, because none came (RFC 3261 section 8.1.3.1)."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller cancelled before the answer; 487 is sent."""

    session: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the CANCEL, such as Reason."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The caller's ACK came: the incoming call is established."""

    session: str
    sdp: str | None = None
    """The answer to the offer that `answer` carried (delayed offer)."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A new offer within the call; follow with `accept_offer` or `refuse_offer`."""

    session: str
    sdp: str | None
    """None asks for an offer, which `accept_offer` carries; its answer comes as `OfferAnswered`."""
    method: str = "INVITE"
    """Message with the offer: INVITE (re-INVITE), UPDATE, PRACK, 2xx (response to a re-INVITE) or 1xx."""


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """The peer answered an offer within the call."""

    session: str
    sdp: str


@dataclass(frozen=True, slots=True)
class OfferRefused:
    """The peer refused an offer; the call goes on as before."""

    session: str
    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class InfoReceived:
    """An INFO came within the call (DTMF); 200 is sent."""

    session: str
    body: str
    content_type: str
    """Lower case, without parameters, such as ``application/dtmf-relay``."""


@dataclass(frozen=True, slots=True)
class TextReceived:
    """A MESSAGE came within the call; 200 is sent."""

    session: str
    body: str
    content_type: str
    request: Request


@dataclass(frozen=True, slots=True)
class ReferReceived:
    """The peer asks the agent to call another party; follow with `accept_refer` or `refuse_refer`."""

    session: str
    refer: str
    """Name of this REFER within the call, which may receive several."""
    refer_to: str
    """URI to call, without its headers."""
    referred_by: str = ""
    replaces: Replaces | None = None
    """Replaces header for the new INVITE, from the headers of the URI (attended transfer)."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReferProgressed:
    """Progress of the agent's REFER, from its NOTIFYs, or its refusal (`final`, with that code)."""

    session: str
    code: int
    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The session ended."""

    session: str
    reason: EndReason
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the peer's BYE."""


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A request outside any dialog (REGISTER, MESSAGE, SUBSCRIBE); `respond` to its key within 32 s."""

    key: str
    request: Request
    flow: Flow


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """Outcome of `UserAgent.request`: the final response, or a local 408 or 503 if none came."""

    key: str
    response: Response
    flow: Flow
    """Target that answered, or the last one tried."""
    local: bool = False
    """Whether the stack made the response, because none came."""


CallEvent = (
    Invited
    | Progressed
    | Answered
    | Rejected
    | Cancelled
    | Confirmed
    | Offered
    | OfferAnswered
    | OfferRefused
    | InfoReceived
    | TextReceived
    | ReferReceived
    | ReferProgressed
    | Ended
    | RequestReceived
    | RequestAnswered
)
