"""State of one call: the data that the other modules of this package read and change."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from softswitch.sip.context import AgentContext
from softswitch.sip.dialog.dialog import Dialog
from softswitch.sip.dialog.exchange import Exchange
from softswitch.sip.security.proof import Proof
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.transaction.alarms import Alarm
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import Transaction


class Phase(Enum):
    """Progress of a call."""

    CALLING = "calling"
    """The agent sent the INVITE; no final response has come."""
    INVITED = "invited"
    """The peer sent the INVITE; no final response was sent."""
    ANSWERED = "answered"
    """The agent sent 200; the ACK has not come."""
    CONFIRMED = "confirmed"
    ENDED = "ended"


@dataclass(slots=True)
class PendingOffer:
    """Offer of the peer, or its request for an offer, that waits for `accept_offer` or `refuse_offer`."""

    carrier: Literal["INVITE", "UPDATE", "PRACK", "1xx", "2xx"]
    """Message that carried the offer."""
    sdp: str | None
    transaction: Transaction | None = None
    """Server transaction whose response carries the answer (INVITE, UPDATE, PRACK)."""
    exchange: Exchange | None = None
    """Request of the agent whose response carried the offer; PRACK or ACK carries the answer (1xx, 2xx)."""
    response: Response | None = None
    """Reliable provisional response to acknowledge (1xx)."""
    dialog: Dialog | None = None


@dataclass(slots=True)
class UnacknowledgedAnswer:
    """2xx that the agent sends again until its ACK comes (RFC 3261 section 13.3.1.4)."""

    transaction: Transaction
    response: Response
    sequence: int
    """CSeq number of the INVITE, which the ACK repeats."""
    first: bool
    """Whether it answers the INVITE that began the call."""
    offered: bool
    """Whether it carries an offer, so that the ACK carries the answer."""


@dataclass(slots=True)
class ReliableProvisional:
    """Reliable provisional response that the agent sends (RFC 3262)."""

    sequence: int
    """RSeq number."""
    response: Response
    invite: int
    """CSeq number of the INVITE that it responds to."""
    offered: bool = False
    """Whether it carries an offer, so that the PRACK carries the answer."""
    described: bool = False
    """Whether it carries a session description, so that the 200 has to wait for its PRACK."""


@dataclass(slots=True)
class ReceivedRefer:
    """REFER of the peer, from its arrival to its last NOTIFY."""

    transaction: Transaction
    name: str
    sequence: int
    """CSeq number, which is the ``id`` of its subscription."""
    first: bool
    """Whether it is the first REFER of the dialog, whose NOTIFY needs no ``id`` (RFC 3515 section 2.4.6)."""
    silent: bool
    """Whether the peer wants no NOTIFY (``Refer-Sub: false``, RFC 4488)."""
    accepted: bool = False


@dataclass(slots=True)
class TimerAgreement:
    """Session timer as the parties agreed on it (RFC 4028)."""

    interval: int = 0
    """Seconds, 0 if there is no session timer."""
    refreshing: bool = False
    """Whether this agent is the refresher."""
    min_se: int = 0
    """Min-SE of a 422 that came, in seconds."""


@dataclass(slots=True)
class SessionState:
    """Data of one call."""

    context: AgentContext
    id: str
    outgoing: bool
    """Whether the agent sent the INVITE that began the call."""
    phase: Phase
    call_id: str
    local_tag: str
    flow: Flow
    proof: Proof
    dialog: Dialog | None = None
    """The confirmed dialog, or the early dialog of the last provisional response."""
    branches: dict[str, Dialog] = field(default_factory=dict)
    """Early dialogs of an outgoing call by remote tag."""
    chosen: str | None = None
    """Remote tag of the branch whose 2xx came first."""
    sequence: int = 0
    """CSeq number of the last INVITE that was sent outside a dialog."""
    exchange: Exchange | None = None
    """INVITE or re-INVITE of the agent that is under way."""
    updating: Exchange | None = None
    """UPDATE of the agent that is under way."""
    incoming: Transaction | None = None
    """INVITE or re-INVITE of the peer that is under way."""
    cancelled: bool = False
    offering: bool = False
    """Whether an offer of the agent waits for its answer."""
    settled: bool = False
    """Whether the first offer of the call has its final answer."""
    offer: PendingOffer | None = None
    local_sdp: str | None = None
    """Description that the agent sent last."""
    queued_offer: tuple[str | None] | None = None
    """Description of the re-INVITE to send once no other offer is under way; None in it asks for an offer."""
    glares: int = 0
    """491 responses to re-INVITEs in a row."""
    unacknowledged: UnacknowledgedAnswer | None = None
    farewell: Mapping[str, str] | None = None
    """Headers of a BYE that waits for the ACK, or of a CANCEL that waits for a provisional response."""
    supports_100rel: bool = False
    """Whether the INVITE of the peer supports reliable provisional responses."""
    requires_100rel: bool = False
    """Whether the INVITE of the peer requires reliable provisional responses."""
    response_sequence: int = 0
    """RSeq number of the last reliable provisional response, 0 before the first."""
    provisional: ReliableProvisional | None = None
    """Reliable provisional response that waits for its PRACK."""
    provisionals: deque[ReliableProvisional] = field(default_factory=deque)
    """Reliable provisional responses to send after it."""
    pending_answer: Callable[[], None] | None = None
    """Sends the 200 that waits for a PRACK."""
    timer: TimerAgreement = field(default_factory=TimerAgreement)
    refers: dict[str, ReceivedRefer] = field(default_factory=dict)
    refer_count: int = 0
    """REFERs that came."""
    referring: bool = False
    """Whether a REFER of the agent waits for its NOTIFYs."""
    alarms: dict[str, Alarm] = field(default_factory=dict)

    def set_alarm(self, name: str, delay: float, callback: Callable[[], None]) -> None:
        """Set the alarm `name`, in place of an earlier one of that name; an ended session sets none.

        Args:
            name: Name of the alarm within the session.
            delay: Seconds.
            callback: Called once the time is over.
        """
        self.stop_alarm(name)
        if self.phase is Phase.ENDED:
            return
        self.alarms[name] = self.context.call_later(delay, callback)

    def stop_alarm(self, name: str) -> None:
        """Stop the alarm `name`, if it is set."""
        alarm = self.alarms.pop(name, None)
        if alarm is not None:
            alarm.stop()

    @property
    def established(self) -> bool:
        """Whether the call is answered and has not ended."""
        return self.phase in (Phase.ANSWERED, Phase.CONFIRMED)

    def branch(self, tag: str) -> Dialog | None:
        """Return the dialog with a remote tag, None if there is no such dialog."""
        if self.dialog is not None and self.dialog.remote_tag == tag:
            return self.dialog
        return self.branches.get(tag)


def with_sdp(message: Request | Response, sdp: str | None) -> None:
    """Set the body of a message to a session description; None leaves the message as it is."""
    if sdp is not None:
        message.body = sdp.encode("utf-8", "replace")
        message.headers.set("Content-Type", "application/sdp")
