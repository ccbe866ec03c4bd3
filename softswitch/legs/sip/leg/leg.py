"""One SIP leg: the endpoint that joins a session of the user agent, its media and commands of the call."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, Protocol

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import (
    LegAnswered,
    LegEnded,
    LegFailed,
    LegHeld,
    LegRejected,
    LegRinging,
    Report,
    TextReceived,
)
from softswitch.call.vocabulary.values import Candidate
from softswitch.errors import NotNowError, PeerError
from softswitch.legs.lifecycle import Job, LegLifecycle
from softswitch.legs.rtp_parameters import audio_rate
from softswitch.legs.sip.accounts.identity import checked
from softswitch.legs.sip.dial_error import DialError
from softswitch.legs.sip.leg.digits import Digits
from softswitch.legs.sip.leg.leg_shared import LegShared
from softswitch.legs.sip.leg.renegotiation import negotiate, take_over
from softswitch.legs.sip.leg.transfer import Transfers
from softswitch.legs.sip.media.negotiation import SipMedia
from softswitch.sip import events as hp
from softswitch.sip.events import CallEvent

ROUTINE = frozenset(
    {
        "via",
        "from",
        "to",
        "call-id",
        "cseq",
        "max-forwards",
        "content-length",
        "contact",
        "route",
        "record-route",
    }
    | {"content-type", "supported", "allow", "user-agent", "authorization", "proxy-authorization"}
)
"""Headers, lower case, that carry no information for an application."""

RemoteRole = Literal["caller", "callee"]


class Side(Protocol):
    """Set-up of a leg, which differs for incoming and outgoing calls."""

    remote_role: RemoteRole
    """Role of the leg's remote party in the call."""

    def ring(self, early_media: bool) -> None:
        """Alert the caller."""

    async def set_up(self) -> None:
        """Answer the caller, or invite the callee."""

    async def on_event(self, event: CallEvent) -> None:
        """Handle an event before the answer, or the confirmation of the answer."""

    def withdraw(self, headers: Mapping[str, str]) -> None:
        """End the leg's sessions, as their state wants: CANCEL, a refusal, or BYE with these headers."""

    def release(self) -> None:
        """End the call's share of its trunk's limits."""


class SipLeg:
    """The endpoint of a SIP leg (:class:`softswitch.call.interfaces.Telephone`).

    Its parts reference it weakly, so that it is freed as soon as it has ended.
    """

    def __init__(
        self,
        shared: LegShared,
        request: LegRequest,
        on_report: Callable[[Report], None],
        on_ended: Callable[["SipLeg"], None],
    ) -> None:
        """Make a leg that does nothing yet; `side` is set before the first command.

        Args:
            shared: driver, media resources and counters of all SIP legs.
            request: parameters of the leg.
            on_report: takes the reports of the leg.
            on_ended: called once when the leg has ended.
        """
        self.shared = shared
        self.port = request.port
        self.session = ""
        """Id of its session in the user agent; empty while none or several exist."""
        self.media: SipMedia | None = None
        self.answered = False
        self.answer_sdp = ""
        """Answer of the first negotiation: the peer's, or that of the switch to the peer's offer."""
        self.trunk = ""
        """Name of the trunk that the call was placed on; empty for none."""
        self.side: Side
        self.transfers = Transfers(self)
        self._agent = shared.driver.agent
        self._on_ended = on_ended
        self._life = LegLifecycle("sip", request, on_report, self._release)
        self._final_headers: Mapping[str, str] = {}
        """Headers of the BYE that `_release` sends."""
        self._digits = Digits(self)

    @property
    def request(self) -> LegRequest:
        """Return the request that the leg was made for."""
        return self._life.request

    def adopt(self, request: LegRequest, on_report: Callable[[Report], None]) -> None:
        """Take the request of a later command: a call that was pending is accepted."""
        self._life.adopt(request, on_report)
        if self.media is None:
            self.port = request.port

    # --- commands of every endpoint ---------------------------------------------------------

    def ring(self, early_media: bool = False) -> None:
        """Alert the caller: 180, or 183 with a description where audio flows before the answer."""
        if not self.is_over and not self.answered:
            self.side.ring(early_media)

    def answer(self) -> None:
        """Answer the caller, or call the callee; `LegAnswered`, `LegRejected` or `LegFailed` follows."""
        self.enqueue(self.side.set_up)

    def offer(self, sdp: str) -> None:
        """Refuse an offer of the application: the media of a SIP leg are negotiated over SIP."""
        self.warn("offer", "offer: a SIP leg takes no SDP of the application", 409)

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Refuse ICE candidates of the application, as `offer` does."""
        self.warn("candidate", "candidate: a SIP leg takes no ICE candidates of the application", 409)

    def dtmf(self, digits: str) -> None:
        """Send DTMF digits by the method that the peer supports."""
        self._digits.send(digits)

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """End the leg with BYE, CANCEL or a refusal, as its state wants; no report follows."""
        try:
            further = checked(headers or {}, but=frozenset())
        except DialError as error:
            self.warn("hangup", str(error), error.code)
            further = {}
        self.end(None, further)

    async def closed(self) -> None:
        """Return when everything the leg held is released."""
        await self._life.closed()
        if self.media is not None:
            await self.media.closed()

    # --- commands of a telephone ------------------------------------------------------------

    @property
    def dialog(self) -> tuple[str, str, str]:
        """Return Call-ID, local tag and remote tag; empty before there is a dialog."""
        return self._agent.dialog(self.session) or ("", "", "")

    @property
    def path(self) -> str:
        """Return the way of the media in words: local and remote address; "" while unknown."""
        return self.media.path if self.media is not None else ""

    def reject(self, code: int, reason: str) -> None:
        """Refuse an incoming call with a status code and reason phrase."""
        if self.is_over:
            return
        if not self.answered and self.side.remote_role == "caller" and self.session:
            self.shared.driver.unsubscribe(self.session)
            self._agent.reject(self.session, code, self.now(), reason=reason)
        self.end(None)

    def refer(self, target: str, headers: dict[str, str] | None = None) -> None:
        """Ask the peer to call `target` (REFER); `LegReferred` follows."""
        self.transfers.request(target, headers or {})

    def message(self, body: str, content_type: str) -> None:
        """Send a text in a MESSAGE request; `LegWarned` follows where that is not possible."""
        if not self._agent.message(self.session, body, content_type, self.now()):
            self.warn("message", "message: the call is not answered, or has ended", 409)
        self.shared.driver.pump()

    def accept_transfer(self) -> None:
        """Answer the peer's REFER with 202 and a first NOTIFY."""
        self.transfers.accept()

    def transfer_progress(self, code: int, reason: str) -> None:
        """Notify the peer of the progress of its REFER; a final code ends it."""
        self.transfers.progress(code, reason)

    # --- for the parts of the leg -----------------------------------------------------------

    def now(self) -> float:
        """Return monotonic seconds."""
        return self.shared.driver.now()

    @property
    def is_over(self) -> bool:
        """Tell whether the leg has ended."""
        return self._life.is_over

    def report(self, report: Report) -> None:
        """Report to the call, unless the leg has ended."""
        self._life.report(report)

    def warn(self, sender: str, error: str, code: int = 400) -> None:
        """Report a fault that does not end the leg."""
        self._life.warn(sender, error, code)

    def ringing(self, early_media: bool) -> None:
        """Report that the remote party is alerted."""
        self.report(LegRinging(self.request.leg, early_media))

    def connected(self) -> None:
        """Report once that the call is answered and its media are agreed on."""
        agreement = self.media.agreement if self.media is not None else None
        if self.answered or agreement is None:
            return
        self.answered = True
        codec = agreement.codec.name
        self.report(
            LegAnswered(
                self.request.leg,
                self.answer_sdp,
                codec=codec.lower(),
                sample_rate=audio_rate(codec),
                ptime_ms=agreement.ptime_ms,
                tones_only=not agreement.events,
                trunk=self.trunk,
            )
        )

    def rejected(
        self, code: int, reason: str, *, from_peer: bool = False, redirect_to: tuple[str, ...] = ()
    ) -> None:
        """End the leg because the call was refused.

        Args:
            code: SIP status code.
            reason: phrase of the peer's response, or an error text for the client.
            from_peer: `reason` is the peer's phrase.
            redirect_to: targets of a redirection that were not called.
        """
        self.end(LegRejected(self.request.leg, code, reason, from_peer=from_peer, redirect_to=redirect_to))

    def failed(self, sender: str, error: PeerError | NotNowError) -> None:
        """End the leg because a request or a message of the peer cannot be carried out."""
        self.end(LegFailed(self.request.leg, sender, str(error), error.code))

    def enqueue(self, job: Job) -> None:
        """Do a job after all that wait; a leg with too many waiting jobs ends."""
        if self._life.enqueue(job):
            self._life.start()
        else:
            self.end(LegFailed(self.request.leg, "sip", "too many events wait for this leg", 500))

    def on_event(self, event: CallEvent) -> None:
        """Handle an event of one of the leg's sessions."""
        leg = self.request.leg
        match event:
            case hp.Ended() if event.session == self.session:
                self.shared.driver.unsubscribe(event.session)
                reason = self.side.remote_role if event.reason == "bye" else "error"
                self.end(LegEnded(leg, reason, self.side.remote_role, further(event.headers)))
            case hp.Cancelled():
                self.shared.driver.unsubscribe(event.session)
                self.end(LegEnded(leg, "caller", "caller", further(event.headers)))
            case hp.InfoReceived():
                self._digits.on_info(event)
            case hp.TextReceived():
                self.report(TextReceived(leg, event.body, event.content_type))
            case hp.ReferReceived() | hp.ReferProgressed():
                self.transfers.on_event(event)
            case hp.Offered() | hp.OfferAnswered() | hp.OfferRefused():
                self.enqueue(partial(negotiate, self, event))
            case _:
                self.enqueue(partial(self.side.on_event, event))

    def end(self, report: Report | None, headers: Mapping[str, str] | None = None) -> None:
        """End the leg; only the first call counts.

        Args:
            report: the last report; None where the call itself ends the leg.
            headers: further headers of the BYE.
        """
        self._final_headers = headers or {}
        if self._life.end(report):
            self.shared.driver.pump()

    def take_over(self, invited: hp.Invited) -> None:
        """Replace the leg's dialog by that of another phone (RFC 3891)."""
        self.enqueue(partial(take_over, self, invited))

    def _release(self) -> None:
        self.side.withdraw(self._final_headers)
        if self.media is not None:
            self.media.close()
        self._digits.stop()
        self.side.release()
        self._on_ended(self)

    # --- events of the media ----------------------------------------------------------------

    def media_held(self, on_hold: bool) -> None:
        """Report that the peer put the call on hold, or resumed it."""
        self.report(LegHeld(self.request.leg, on_hold))

    def media_failed(self, sender: str, error: str, code: int) -> None:
        """End the leg: its media cannot be connected."""
        self.end(LegFailed(self.request.leg, sender, error, code))

    def media_ended(self, reason: str) -> None:
        """End the leg: its media connection is closed or silent."""
        reason = self.side.remote_role if reason == "caller" else reason
        self.end(LegEnded(self.request.leg, reason, self.side.remote_role))

    def media_warned(self, sender: str, error: str, code: int) -> None:
        """Report a fault of the media that does not end the leg."""
        self.warn(sender, error, code)


def further(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that may carry information for an application: all but the routine ones."""
    return {name: value for name, value in headers.items() if name.lower() not in ROUTINE}
