"""The 200 to an INVITE of theirs: sent until its ACK comes, then BYE (RFC 3261 section 13.3.1.4)."""

from softswitch.sip.bodies import sdp_of
from softswitch.sip.calls import Calls
from softswitch.sip.core import ALLOW, SUPPORTED
from softswitch.sip.happenings import Confirmed, OfferAnswered
from softswitch.sip.message import Request, Response
from softswitch.sip.session import Phase, Session, Unacknowledged
from softswitch.sip.session_ending import say_bye
from softswitch.sip.transaction import Transaction


def describe(message: Request | Response, contact: str) -> None:
    """Write what messages that begin or change a call say of us."""
    message.headers.set("Contact", contact)
    message.headers.set("Allow", ALLOW)
    message.headers.set("Supported", SUPPORTED)


def accept(
    core: Calls, session: Session, transaction: Transaction, response: Response, *, first: bool, offered: bool
) -> None:
    """Send a 2xx and wait for its ACK."""
    sequence = transaction.request.cseq.sequence
    transaction.respond(response)
    session.incoming = None
    session.unacknowledged = Unacknowledged(transaction, response, sequence, first, offered)
    session.offering = offered
    _wait(core, session, core.timers.t1)
    session.set_alarm(core, "no_ack", 64 * core.timers.t1, lambda: _lost(core, session))


def _wait(core: Calls, session: Session, pause: float) -> None:
    session.set_alarm(core, "again", pause, lambda: _again(core, session, pause))


def _again(core: Calls, session: Session, pause: float) -> None:
    waiting = session.unacknowledged
    if waiting is not None:
        # Reliable transports carry copies as well: the hop that lost it may be behind a proxy.
        waiting.transaction.respond(waiting.response)
        _wait(core, session, min(2 * pause, core.timers.t2))


def _lost(core: Calls, session: Session) -> None:
    core.count("no_ack")
    say_bye(core, session, "no_ack")


def acknowledged(core: Calls, session: Session, sequence: int, ack: Request) -> bool:
    """Take an ACK; return whether the call may go on with what waited for it."""
    waiting = session.unacknowledged
    if waiting is None or waiting.sequence != sequence:
        core.count("ack_again")
        return False
    session.unacknowledged = None
    session.offering = False
    session.stop_alarm("again")
    session.stop_alarm("no_ack")
    sdp = sdp_of(ack) if waiting.offered else None
    if session.farewell is not None:
        say_bye(core, session, "local", session.farewell)
        return False
    if waiting.first:
        session.phase = Phase.TALKING
        core.tell(Confirmed(session.id, sdp))
    elif sdp is not None:
        core.tell(OfferAnswered(session.id, sdp))
    return True
