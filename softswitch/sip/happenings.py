"""What the user agent tells its shell: one frozen value each, taken with `UserAgent.take_happenings`.

Every session ends with exactly one of `Rejected` (outgoing), `Cancelled` (incoming) and `Ended` (either);
nothing about it follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from softswitch.sip.flow import Flow
from softswitch.sip.message import Request, Response

EndReason = Literal["bye", "local", "rejected", "expired", "no_ack", "gone", "media_refused"]
"""Why a session ended: the far end's BYE, our own `bye` or `reject`, a session timer that ran out (RFC 4028),
an ACK or PRACK that never came, a far end that knows no such dialog (408, 481), an offer nobody could
answer."""


@dataclass(frozen=True, slots=True)
class Replaces:
    """The dialog that an INVITE takes over (RFC 3891), tags as its receiver sees them."""

    call_id: str
    to_tag: str
    """The tag of whoever receives the INVITE, "" for a peer that knows no tags."""
    from_tag: str
    early_only: bool = False


@dataclass(frozen=True, slots=True)
class Invited:
    """Somebody calls. 100 Trying is sent; `ring`, `answer` or `reject` it."""

    session: str
    request: Request
    flow: Flow
    offer: str | None
    """Session description, None for a delayed offer: then `answer` carries ours."""
    replaces: Replaces | None = None
    replaced: str = ""
    """Our session that `replaces` names: answer this one, then `bye` that one."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """The called party sent 180 to 199."""

    session: str
    code: int
    reason: str
    sdp: str | None
    """Early media: our offer's answer so far."""
    headers: Mapping[str, str] = field(default_factory=dict)
    branch: str = ""
    """Remote tag: early dialogs of a forked call differ in it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The called party sent 200. The ACK is sent, but with `wants_answer` it waits for `accept_offer`."""

    session: str
    sdp: str | None
    """Their answer; with `wants_answer` their offer; None where an early answer was final already."""
    headers: Mapping[str, str] = field(default_factory=dict)
    wants_answer: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """An outgoing call came to nothing; 408 and 503 also stand for no reply and no way there."""

    session: str
    code: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)
    contacts: tuple[str, ...] = ()
    """URIs of a 3xx that was not followed."""
    local: bool = False
    """Nobody said so: we made the code up (RFC 3261 section 8.1.3.1)."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller gave up before the answer; 487 is sent."""

    session: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the CANCEL, such as Reason."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The caller's ACK came: an incoming call stands."""

    session: str
    sdp: str | None = None
    """The answer to the offer that `answer` carried (delayed offer)."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A new offer within the call: answer with `accept_offer` or `refuse_offer`."""

    session: str
    sdp: str | None
    """None asks for an offer of ours: `accept_offer` carries it, its answer comes as `OfferAnswered`."""
    method: str = "INVITE"
    """INVITE (re-INVITE), UPDATE, PRACK, or 1xx for an offer in a reliable provisional response."""


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """The far end answered an offer of ours within the call."""

    session: str
    sdp: str


@dataclass(frozen=True, slots=True)
class OfferRefused:
    """The far end refused an offer of ours: the call goes on as it was before."""

    session: str
    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class InfoReceived:
    """An INFO came in the call (DTMF); it is answered with 200 already."""

    session: str
    body: str
    content_type: str
    """Lower case, without parameters, such as ``application/dtmf-relay``."""


@dataclass(frozen=True, slots=True)
class TextReceived:
    """A MESSAGE came in the call; it is answered with 200 already."""

    session: str
    body: str
    content_type: str
    request: Request


@dataclass(frozen=True, slots=True)
class ReferReceived:
    """The far end wants us to call somebody else: `accept_refer` or `refuse_refer`."""

    session: str
    refer: str
    """Name of this REFER, for the answer: a call may carry several."""
    refer_to: str
    """URI without its headers."""
    referred_by: str = ""
    replaces: Replaces | None = None
    """From the URI's headers: what our INVITE shall carry (attended transfer)."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReferProgressed:
    """How a REFER of ours fares, by its NOTIFYs; also its refusal, then `final` with that code."""

    session: str
    code: int
    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over."""

    session: str
    reason: EndReason
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the far end's BYE."""


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A request outside any dialog: REGISTER, MESSAGE or SUBSCRIBE. `respond` to its key within 32 s."""

    key: str
    request: Request
    flow: Flow


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """A request of `UserAgent.request` is decided: the final response, ours (408, 503) if none came."""

    key: str
    response: Response
    flow: Flow
    """The target that answered, or the last one tried."""
    local: bool = False
    """Nobody answered: the response is made up."""


Happening = (
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
