"""What a shell may ask of a session, by the session's id: the larger half of the user agent."""

from collections.abc import Mapping

from softswitch.sip import (
    session_called,
    session_caller,
    session_ending,
    session_inside,
    session_offers,
    session_refer,
)
from softswitch.sip.calls import Calls
from softswitch.sip.digest import Credentials
from softswitch.sip.proof import Proof
from softswitch.sip.session import Phase, Session

NO_HEADERS: Mapping[str, str] = {}


class SessionVerbs:
    """The verbs on sessions; each returns False, and does nothing, where the session is gone or past that."""

    def __init__(self, calls: Calls) -> None:
        self._core = calls

    # ------------------------------------------------------------------ an incoming call
    def ring(
        self,
        session: str,
        now: float,
        *,
        code: int = 180,
        reason: str = "",
        sdp: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> bool:
        """Send a provisional response, with early media's answer when `sdp` is given (183)."""
        found = self._at(session, now)
        return found is not None and session_called.ring(self._core, found, code, reason, sdp, headers)

    def answer(
        self, session: str, sdp: str | None, now: float, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> bool:
        """Send 200 with our answer, or with our offer where the INVITE had none.

        None repeats what an early answer said already. `Confirmed` follows, or `Ended` with ``no_ack``.
        """
        found = self._at(session, now)
        return found is not None and session_called.answer(self._core, found, sdp, headers)

    def reject(
        self,
        session: str,
        code: int,
        now: float,
        *,
        reason: str = "",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> bool:
        """Refuse an incoming call (300 to 699); `Ended` with ``rejected`` follows."""
        found = self._at(session, now)
        return found is not None and session_called.reject(self._core, found, code, reason, headers)

    def bye(self, session: str, now: float, *, headers: Mapping[str, str] = NO_HEADERS) -> bool:
        """End a session as its state wants: CANCEL, 480, BYE (after the ACK, where that is still missing).

        A cancelled call ends with `Rejected` (487, or what the far end said), any other at once with `Ended`.
        """
        found = self._at(session, now)
        if found is None or found.farewell is not None:
            return False
        match found.phase:
            case Phase.CALLING:
                session_caller.cancel(self._core, found, headers)
            case Phase.INVITED:
                return session_called.reject(self._core, found, 480, "", headers)
            case Phase.ANSWERED:
                found.farewell = headers
            case _:
                session_ending.say_bye(self._core, found, "local", headers)
        return True

    def entrust(self, session: str, credentials: Credentials) -> bool:
        """Answer challenges to our requests within an incoming call: some trunks want proof of a BYE."""
        found = self._core.sessions.get(session)
        if found is not None:
            found.proof = Proof(credentials, self._core.entropy)
        return found is not None

    # ------------------------------------------------------------------ offers within a call
    def reinvite(self, session: str, sdp: str | None, now: float) -> bool:
        """Send a re-INVITE; None asks for an offer. `OfferAnswered`, `OfferRefused` or `Offered` follows.

        491 (both sides at once) is tried again after the pause of RFC 3261 section 14.1.
        """
        found = self._at(session, now)
        return found is not None and session_offers.reinvite(self._core, found, sdp)

    def update(self, session: str, sdp: str | None, now: float) -> bool:
        """Send an UPDATE (RFC 3311), before the answer too; False where the far end allows none."""
        found = self._at(session, now)
        return found is not None and session_offers.update(self._core, found, sdp)

    def accept_offer(self, session: str, sdp: str | None, now: float) -> bool:
        """Answer what `Offered` (or `Answered` with ``wants_answer``) brought: 200, PRACK or ACK, as fits."""
        found = self._at(session, now)
        return found is not None and session_offers.accept_offer(self._core, found, sdp)

    def refuse_offer(self, session: str, code: int, now: float, *, reason: str = "") -> bool:
        """Refuse it; where nothing can carry a refusal (an offer in 200) the call ends."""
        found = self._at(session, now)
        return found is not None and session_offers.refuse_offer(self._core, found, code, reason)

    # ------------------------------------------------------------------ transfer
    def refer(
        self,
        session: str,
        refer_to: str,
        now: float,
        *,
        referred_by: str = "",
        replaces: str = "",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> bool:
        """Ask the far end to call `refer_to` (RFC 3515); `ReferProgressed` follows.

        Args:
            session: The call.
            refer_to: URI.
            now: The time.
            referred_by: URI for Referred-By (RFC 3892), "" writes none.
            replaces: Another session of ours with the party at `refer_to`, which the new call shall
                replace: attended transfer.
            headers: Further headers.
        """
        found = self._at(session, now)
        other = self._core.sessions.get(replaces) if replaces else None
        if found is None or (replaces and (other is None or other.dialog is None)):
            return False
        dialog = other.dialog if other is not None else None
        return session_refer.refer(self._core, found, refer_to, referred_by, dialog, headers)

    def accept_refer(self, session: str, refer: str, now: float) -> bool:
        """Take on a `ReferReceived`: 202, and a first NOTIFY with 100."""
        found = self._at(session, now)
        return found is not None and session_refer.accept_refer(self._core, found, refer)

    def refer_progress(self, session: str, refer: str, code: int, reason: str, now: float) -> bool:
        """Tell the far end how its REFER fares; 200 and above is final."""
        found = self._at(session, now)
        return found is not None and session_refer.refer_progress(self._core, found, refer, code, reason)

    def refuse_refer(self, session: str, refer: str, code: int, now: float) -> bool:
        """Refuse a `ReferReceived` (400 to 699)."""
        found = self._at(session, now)
        return found is not None and session_refer.refuse_refer(self._core, found, refer, code)

    # ------------------------------------------------------------------ messages within a call
    def info(self, session: str, body: str, content_type: str, now: float) -> bool:
        """Send an INFO (RFC 6086), for digits: ``application/dtmf-relay``."""
        found = self._at(session, now)
        return found is not None and session_inside.say(self._core, found, "INFO", body, content_type)

    def message(self, session: str, body: str, content_type: str, now: float) -> bool:
        """Send a MESSAGE (RFC 3428) within the call."""
        found = self._at(session, now)
        return found is not None and session_inside.say(self._core, found, "MESSAGE", body, content_type)

    # ------------------------------------------------------------------ what a session is
    def dialog(self, session: str) -> tuple[str, str, str] | None:
        """Return Call-ID, local and remote tag of a session, None where it has none yet."""
        found = self._core.sessions.get(session)
        return None if found is None or found.dialog is None else found.dialog.id

    def allows(self, session: str, method: str) -> bool:
        """Return whether the far end said that it takes `method` (Allow); True while it said nothing."""
        found = self._core.sessions.get(session)
        if found is None or found.dialog is None:
            return False
        return not found.dialog.allow or method in found.dialog.allow

    # ------------------------------------------------------------------ within
    def _at(self, session: str, now: float) -> Session | None:
        self._core.transactions.now = now
        return self._core.sessions.get(session)
