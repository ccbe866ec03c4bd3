"""One call as the stack sees it: the state that the rooms `session_*` work on."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from softswitch.sip.alarms import Alarm
from softswitch.sip.core import Core
from softswitch.sip.dialog import Dialog
from softswitch.sip.exchange import Exchange
from softswitch.sip.flow import Flow, Outgoing
from softswitch.sip.invitation import Invitation
from softswitch.sip.message import Request, Response
from softswitch.sip.proof import Proof
from softswitch.sip.transaction import Transaction

Acks = dict[tuple[str, int], Outgoing]
"""ACKs by the remote tag and the CSeq number of what they acknowledge."""


class Phase(Enum):
    """How far a call is."""

    CALLING = "calling"
    """Our INVITE has no final response."""
    INVITED = "invited"
    """Their INVITE has no final response."""
    ANSWERED = "answered"
    """Our 200 waits for its ACK."""
    TALKING = "talking"
    ENDED = "ended"


@dataclass(slots=True)
class TheirOffer:
    """An offer of theirs, or a request for one of ours, that waits for the shell."""

    carrier: Literal["INVITE", "UPDATE", "PRACK", "1xx", "2xx"]
    sdp: str | None
    transaction: Transaction | None = None
    """What to answer (a request of theirs)."""
    exchange: Exchange | None = None
    """What their response answered (PRACK or ACK carries our answer)."""
    response: Response | None = None
    dialog: Dialog | None = None


@dataclass(slots=True)
class Unacknowledged:
    """A 2xx of ours that is sent until its ACK comes (RFC 3261 section 13.3.1.4)."""

    transaction: Transaction
    response: Response
    sequence: int
    first: bool
    """It answers the INVITE that began the call."""
    offered: bool
    """It carries an offer: the ACK carries the answer."""


@dataclass(slots=True)
class Provisional:
    """A reliable provisional response of ours (RFC 3262)."""

    sequence: int
    response: Response
    invite: int
    """CSeq number of the INVITE it responds to."""
    offered: bool = False
    """It carries our offer: the PRACK carries the answer."""
    described: bool = False
    """It carries a session description: the 200 waits for its PRACK."""


@dataclass(slots=True)
class TheirRefer:
    """A REFER of theirs that we answer for."""

    transaction: Transaction
    name: str
    sequence: int
    first: bool
    silent: bool
    """They want no NOTIFY (RFC 4488)."""
    accepted: bool = False


@dataclass(slots=True)
class SessionTimer:
    """The session timer as agreed (RFC 4028)."""

    interval: int = 0
    """Seconds, 0: none."""
    ours: bool = False
    """We are the one who refreshes."""
    least: int = 0
    """Min-SE that a 422 told us."""


@dataclass(slots=True)
class Session:
    """A call of ours or theirs."""

    id: str
    ours: bool
    """We called."""
    phase: Phase
    call_id: str
    local_tag: str
    flow: Flow
    proof: Proof
    dialog: Dialog | None = None
    """The confirmed dialog, or the early one heard of last."""
    branches: dict[str, Dialog] = field(default_factory=dict)
    """Early dialogs of an outgoing call by remote tag."""
    chosen: str | None = None
    """Remote tag of the branch whose 2xx came first."""
    invitation: Invitation | None = None
    redirects: int = 0
    sequence: int = 0
    """CSeq number of our INVITE outside the dialog."""
    exchange: Exchange | None = None
    """Our INVITE or re-INVITE under way."""
    updating: Exchange | None = None
    """Our UPDATE under way."""
    incoming: Transaction | None = None
    """Their INVITE or re-INVITE under way."""
    cancelled: bool = False
    acks: Acks = field(default_factory=dict)
    """ACKs sent, for copies of the 2xx."""
    offering: bool = False
    """An offer of ours waits for its answer."""
    settled: bool = False
    """The call's first offer has its answer, for good."""
    offer: TheirOffer | None = None
    local_sdp: str | None = None
    wanted: tuple[str | None] | None = None
    """The re-INVITE to send once nothing else is under way."""
    glares: int = 0
    unacknowledged: Unacknowledged | None = None
    farewell: Mapping[str, str] | None = None
    """Headers of a BYE that waits for the ACK, or of a CANCEL that waits for a provisional response."""
    reliably: bool = False
    """Their INVITE supports 100rel."""
    must_reliably: bool = False
    """Their INVITE requires 100rel."""
    response_sequence: int = 0
    provisional: Provisional | None = None
    provisionals: deque[Provisional] = field(default_factory=deque)
    pending_answer: Callable[[], None] | None = None
    """The 200 that waits for a PRACK."""
    timer: SessionTimer = field(default_factory=SessionTimer)
    timer_supported: bool = False
    """The far end supports RFC 4028."""
    refers: dict[str, TheirRefer] = field(default_factory=dict)
    refer_count: int = 0
    referred: bool = False
    """A REFER of ours waits for its NOTIFYs."""
    alarms: dict[str, Alarm] = field(default_factory=dict)

    def set_alarm(self, core: Core, name: str, delay: float, call: Callable[[], None]) -> None:
        """Set one of the session's alarms, in the place of another of that name; none once it has ended."""
        self.stop_alarm(name)
        if self.phase is Phase.ENDED:
            return
        self.alarms[name] = core.later(delay, call)

    def stop_alarm(self, name: str) -> None:
        """Stop one of the session's alarms, if it is set."""
        alarm = self.alarms.pop(name, None)
        if alarm is not None:
            alarm.stop()

    @property
    def stands(self) -> bool:
        """Return whether the call is answered and not over."""
        return self.phase in (Phase.ANSWERED, Phase.TALKING)

    def branch(self, tag: str) -> Dialog | None:
        """Return the dialog with a remote tag."""
        if self.dialog is not None and self.dialog.remote_tag == tag:
            return self.dialog
        return self.branches.get(tag)


def with_sdp(message: Request | Response, sdp: str | None) -> None:
    """Give a message a session description as its body, if there is one."""
    if sdp is not None:
        message.body = sdp.encode("utf-8", "replace")
        message.headers.set("Content-Type", "application/sdp")
