"""Incoming SIP calls: announced to the switch as pending, then a leg whose INVITE waits for its answer."""

import weakref
from collections.abc import Callable, Mapping

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import LegEnded, Report
from softswitch.errors import NotNowError, PeerError
from softswitch.legs.sip.leg.leg import RemoteRole, SipLeg
from softswitch.legs.sip.leg.leg_shared import LegShared
from softswitch.legs.sip.media.negotiation import SipMedia
from softswitch.legs.sip.media.shared import MediaOptions
from softswitch.sip import events as hp
from softswitch.sip.events import CallEvent, Invited

RETRY_S = 5
"""Retry-After for calls rejected with 503, in seconds."""
MakeOptions = Callable[[LegRequest], MediaOptions]


class IncomingSide:
    """Set-up of an incoming leg: answers or refuses the caller's INVITE."""

    remote_role: RemoteRole = "caller"

    def __init__(
        self, leg: SipLeg, invited: Invited, media_options: MakeOptions, release: Callable[[], None]
    ) -> None:
        """Begin with an INVITE that has no response yet.

        Args:
            leg: the leg; referenced weakly.
            invited: the INVITE.
            media_options: returns the media options for the leg's current request.
            release: ends the call's share of its trunk's limits.
        """
        self._leg: SipLeg = weakref.proxy(leg)
        self._invited = invited
        self._media_options = media_options
        self.release = release
        self._driver = leg.shared.driver
        self._early_sdp: str | None = None
        self._answering = False

    def ring(self, early_media: bool) -> None:
        """Send 180, or 183 with an SDP answer where audio flows before the call is answered."""
        if self._answering:
            return
        if early_media and self._invited.offer is not None:
            self._leg.enqueue(self._ring_early)
        else:
            self._driver.agent.ring(self._invited.session, self._leg.now())
            self._driver.pump()
            self._leg.ringing(early_media=False)

    async def set_up(self) -> None:
        """Send 200 with an SDP answer, or with an offer where the caller's INVITE had none."""
        if self._answering:
            return
        self._answering = True
        leg, delayed = self._leg, self._invited.offer is None
        sdp = self._early_sdp or await self._describe()
        if sdp is None:
            return
        self._leg.answer_sdp = sdp
        sent = self._driver.agent.answer(self._invited.session, sdp, leg.now())
        self._driver.pump()
        if sent and not delayed:
            leg.connected()

    async def on_event(self, event: CallEvent) -> None:
        """Handle the caller's ACK, which carries the SDP answer to an offer in the 200."""
        if not isinstance(event, hp.Confirmed) or self._invited.offer is not None:
            return
        media = self._leg.media
        if media is None or event.sdp is None:
            self._leg.failed("invite", PeerError("sdp: the ACK carries no answer to the offer in the 200"))
            return
        try:
            await media.take_answer(event.sdp)
            self._leg.answer_sdp = event.sdp
        except PeerError as error:
            self._leg.failed("invite", error)
        else:
            self._leg.connected()

    def withdraw(self, headers: Mapping[str, str]) -> None:
        """Refuse the call or hang up; does nothing where the caller has ended it."""
        session = self._leg.session  # a dialog with Replaces may have replaced that of the INVITE
        self._driver.unsubscribe(session)
        self._driver.agent.bye(session, self._leg.now(), headers=headers)

    async def _ring_early(self) -> None:
        sdp = await self._describe()
        if sdp is not None and not self._answering:
            self._early_sdp = sdp
            self._driver.agent.ring(self._invited.session, self._leg.now(), code=183, sdp=sdp)
            self._driver.pump()
            self._leg.ringing(early_media=True)

    async def _describe(self) -> str | None:
        """Return the SDP to send; None where negotiation failed, which has ended the leg."""
        leg, offer = self._leg, self._invited.offer
        leg.media = leg.media or SipMedia(
            leg.shared.media, leg.port, leg.request.mix, self._media_options(leg.request), leg
        )
        try:
            return await leg.media.offer() if offer is None else await leg.media.answer(offer)
        except (PeerError, NotNowError) as error:
            self._refuse(error)
        return None

    def _refuse(self, error: PeerError | NotNowError) -> None:
        headers = {}
        if isinstance(error, NotNowError):
            self._leg.shared.counters.overloaded += 1
            headers = {"Retry-After": str(max(1, round(error.retry_after_s)))}
        session = self._invited.session
        self._driver.unsubscribe(session)
        code = error.code if error.code in {400, 415, 488, 503} else 488
        self._driver.agent.reject(session, code, self._leg.now(), headers=headers)
        self._leg.failed("invite", error)


class PendingCall:
    """An incoming call that was announced to the switch; makes one leg, however often it is asked for."""

    def __init__(
        self,
        shared: LegShared,
        invited: Invited,
        media_options: MakeOptions,
        *,
        on_leg: Callable[[SipLeg], None],
        on_ended: Callable[[SipLeg], None],
        release: Callable[[], None],
    ) -> None:
        """Wait for a command of the switch.

        Args:
            shared: driver, media resources and counters of all SIP legs.
            invited: the INVITE.
            media_options: returns the media options for a request.
            on_leg: called with the leg when it is made.
            on_ended: called with the leg when it has ended.
            release: ends the call's share of its trunk's limits.
        """
        self._shared = shared
        self._invited = invited
        self._media_options = media_options
        self._on_leg = on_leg
        self._on_ended = on_ended
        self._release = release
        self._leg: SipLeg | None = None
        self._is_over = False
        """The call ended before its leg was made."""
        shared.driver.subscribe(invited.session, self._on_event)

    def party(self, request: LegRequest, report: Callable[[Report], None]) -> SipLeg:
        """Return the leg of this call (:class:`softswitch.call.interfaces.EndpointFactory`)."""
        leg = self._leg
        if leg is not None:
            leg.adopt(request, report)
            return leg
        self._leg = leg = SipLeg(self._shared, request, report, self._on_ended)
        leg.side = IncomingSide(leg, self._invited, self._media_options, self._release)
        leg.session = self._invited.session
        self._shared.driver.belongs(leg.session, request.call)
        self._on_leg(leg)
        if self._is_over:
            # Later: the call that asks for the leg does not hold it yet.
            leg.enqueue(self._report_ended)
        else:
            self._shared.driver.subscribe(self._invited.session, leg.on_event)
        return leg

    def reject(self, code: int, reason: str) -> None:
        """Refuse the call, unless its leg was made or it has ended."""
        if self._leg is None and not self._is_over:
            driver, session = self._shared.driver, self._invited.session
            driver.unsubscribe(session)
            self._is_over = True
            headers = {"Retry-After": str(RETRY_S)} if code == 503 else {}
            driver.agent.reject(session, code, driver.now(), reason=reason, headers=headers)
            self._release()
            driver.pump()

    async def _report_ended(self) -> None:
        if self._leg is not None:
            self._leg.end(LegEnded(self._leg.request.leg, "caller", "caller"))

    def _on_event(self, event: CallEvent) -> None:
        """Note that the caller gave up before the leg was made."""
        if isinstance(event, hp.Cancelled | hp.Ended) and not self._is_over:
            self._is_over = True
            self._shared.driver.unsubscribe(event.session)
            self._release()
