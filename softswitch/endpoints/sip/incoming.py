"""A call that comes in: announced to the switch, then the leg of whoever called."""

import weakref
from collections.abc import Callable, Mapping

from softswitch.call.needs import LegRequest
from softswitch.call.reports import LegEnded, Report
from softswitch.endpoints.sip.leg import SipLeg
from softswitch.endpoints.sip.leg_shared import LegShared
from softswitch.endpoints.sip.media import SipMedia
from softswitch.endpoints.sip.media_shared import MediaWish
from softswitch.errors import NotNowError, PeerError
from softswitch.sip import happenings as hp
from softswitch.sip.happenings import Happening, Invited

RETRY_S = 5
"""What a caller is told who comes while the switch is full or going down."""
MakeWish = Callable[[LegRequest], MediaWish]


class CalledSide:
    """The leg of a caller: its INVITE waits for our answer."""

    far_end = "caller"

    def __init__(self, leg: SipLeg, invited: Invited, wish: MakeWish, leave: Callable[[], None]) -> None:
        """Begin with an INVITE that nothing was said to.

        Args:
            leg: whose side this is.
            invited: the INVITE.
            wish: turns the request of the moment into a wish for media.
            leave: gives back the place that the call holds among those of its trunk.
        """
        self._leg: SipLeg = weakref.proxy(leg)
        self._invited = invited
        self._wish = wish
        self.left = leave
        self._driver = leg.shared.driver
        self._early_sdp: str | None = None
        self._answering = False

    def ring(self, early_media: bool) -> None:
        """Send 180, or 183 with our answer where audio shall flow before the call is taken."""
        if self._answering:
            return
        if early_media and self._invited.offer is not None:
            self._leg.enqueue(self._ring_early)
        else:
            self._driver.agent.ring(self._invited.session, self._leg.now())
            self._driver.pump()
            self._leg.ringing(early_media=False)

    async def set_up(self) -> None:
        """Send 200 with our answer, or with our offer where the caller made none."""
        if self._answering:
            return
        self._answering = True
        leg, delayed = self._leg, self._invited.offer is None
        sdp = self._early_sdp or await self._describe()
        if sdp is None:
            return
        sent = self._driver.agent.answer(self._invited.session, sdp, leg.now())
        self._driver.pump()
        if sent and not delayed:
            leg.stands()

    async def take(self, happening: Happening) -> None:
        """Take the caller's ACK: it brings the answer to an offer of ours."""
        if not isinstance(happening, hp.Confirmed) or self._invited.offer is not None:
            return
        media = self._leg.media
        if media is None or happening.sdp is None:
            self._leg.failed("invite", PeerError("the ACK brings no answer to our offer"))
            return
        try:
            await media.take_answer(happening.sdp)
        except PeerError as error:
            self._leg.failed("invite", error)
        else:
            self._leg.stands()

    def withdraw(self, headers: Mapping[str, str]) -> None:
        """Refuse the call or hang up; the far end's own end makes this nothing."""
        session = self._leg.session  # another phone may have taken this one's place
        self._driver.forget(session)
        self._driver.agent.bye(session, self._leg.now(), headers=headers)

    async def _ring_early(self) -> None:
        sdp = await self._describe()
        if sdp is not None and not self._answering:
            self._early_sdp = sdp
            self._driver.agent.ring(self._invited.session, self._leg.now(), code=183, sdp=sdp)
            self._driver.pump()
            self._leg.ringing(early_media=True)

    async def _describe(self) -> str | None:
        """Return our description; None where there is none, and the leg has ended for it."""
        leg, offer = self._leg, self._invited.offer
        leg.media = leg.media or SipMedia(
            leg.shared.media, leg.port, leg.request.mix, self._wish(leg.request), leg
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
        self._driver.forget(session)
        code = error.code if error.code in {400, 415, 488, 503} else 488
        self._driver.agent.reject(session, code, self._leg.now(), headers=headers)
        self._leg.failed("invite", error)


class PendingCall:
    """A call that the switch was told of: makes its leg when asked to, the same one each time."""

    def __init__(
        self,
        shared: LegShared,
        invited: Invited,
        wish: MakeWish,
        *,
        keep: Callable[[SipLeg], None],
        forget: Callable[[SipLeg], None],
        leave: Callable[[], None],
    ) -> None:
        """Wait for the switch.

        Args:
            shared: for the leg.
            invited: the INVITE.
            wish: for its media.
            keep: told of the leg that was made.
            forget: told when that leg has ended.
            leave: gives back the place that the call holds among those of its trunk.
        """
        self._shared = shared
        self._invited = invited
        self._wish = wish
        self._keep = keep
        self._forget = forget
        self._leave = leave
        self._leg: SipLeg | None = None
        self._gone: hp.Cancelled | hp.Ended | None = None
        shared.driver.watch(invited.session, self._take)

    def party(self, request: LegRequest, report: Callable[[Report], None]) -> SipLeg:
        """Return the leg of this call (:class:`softswitch.call.needs.EndpointFactory`)."""
        leg = self._leg
        if leg is not None:
            leg.adopt(request, report)
            return leg
        self._leg = leg = SipLeg(self._shared, request, report, self._forget)
        leg.side = CalledSide(leg, self._invited, self._wish, self._leave)
        leg.session = self._invited.session
        self._keep(leg)
        if self._gone is None:
            self._shared.driver.watch(self._invited.session, leg.take)
        else:
            # Not before the caller has the leg in its hands.
            leg.enqueue(self._tell_gone)
        return leg

    def reject(self, code: int, reason: str) -> None:
        """Refuse the call, as long as nobody asked for its leg."""
        if self._leg is None and self._gone is None:
            driver, session = self._shared.driver, self._invited.session
            driver.forget(session)
            self._gone = hp.Ended(session, "rejected")
            headers = {"Retry-After": str(RETRY_S)} if code == 503 else {}
            driver.agent.reject(session, code, driver.now(), reason=reason, headers=headers)
            self._leave()
            driver.pump()

    async def _tell_gone(self) -> None:
        if self._leg is not None:
            self._leg.end(LegEnded(self._leg.request.leg, "caller", "caller"))

    def _take(self, happening: Happening) -> None:
        """Note that the caller gave up before anybody asked for the leg."""
        if isinstance(happening, hp.Cancelled | hp.Ended) and self._gone is None:
            self._gone = happening
            self._shared.driver.forget(happening.session)
            self._leave()
