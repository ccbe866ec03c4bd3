"""One call: its state, and the parts that work on it."""

from collections.abc import Callable, Mapping
from typing import assert_never

from softswitch.sip.session.acknowledgements import Acknowledgements
from softswitch.sip.session.called import CalledParty
from softswitch.sip.session.caller import CallingParty
from softswitch.sip.session.ending import Ending
from softswitch.sip.session.offers import Offers
from softswitch.sip.session.refer import Transfers
from softswitch.sip.session.reliable import ReliableProvisionals
from softswitch.sip.session.requests import DialogRequests
from softswitch.sip.session.state import Phase, SessionState
from softswitch.sip.session.success import Success
from softswitch.sip.session.timer import SessionTimer


class Session:
    """A call that the agent makes or receives.

    Each part handles one procedure of SIP. A part knows the state and the parts it is built on, never the
    session, so that an ended session is freed without garbage collection.
    """

    __slots__ = ("called", "calling", "ending", "offers", "requests", "state", "transfers")

    def __init__(self, state: SessionState, on_ended: Callable[[SessionState], None]) -> None:
        acknowledgements = Acknowledgements(state.context, state.proof)
        self.state = state
        self.ending = ending = Ending(state, acknowledgements, on_ended)
        success = Success(state, ending)
        reliable = ReliableProvisionals(state, ending)
        timer = SessionTimer(state, ending)
        self.offers = Offers(state, acknowledgements, ending, success, reliable, timer)
        self.transfers = Transfers(state)
        self.called = CalledParty(state, ending, success, reliable, self.offers)
        self.calling = CallingParty(state, acknowledgements, ending, reliable, self.offers)
        self.requests = DialogRequests(state, ending, self.offers, self.transfers, self.called)

    def hang_up(self, headers: Mapping[str, str]) -> bool:
        """End the call as its phase requires: CANCEL, 480 or BYE; return False if that was done before.

        A BYE waits for the ACK of the agent's 200 (RFC 3261 section 15).
        """
        state = self.state
        if state.farewell is not None:
            return False
        match state.phase:
            case Phase.CALLING:
                self.calling.cancel(headers)
            case Phase.INVITED:
                return self.called.reject(480, "", headers)
            case Phase.ANSWERED:
                state.farewell = headers
            case Phase.CONFIRMED | Phase.ENDED:
                self.ending.hang_up("local", headers)
            case _:
                assert_never(state.phase)
        return True
