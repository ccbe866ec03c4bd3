"""A call that we place: to a trunk, to an address, or to all devices of a user at once."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from softswitch.call.needs import LegRequest
from softswitch.endpoints.sip.leg import SipLeg
from softswitch.endpoints.sip.media import SipMedia
from softswitch.endpoints.sip.media_shared import MediaWish
from softswitch.errors import NotNowError, PeerError
from softswitch.sip import happenings as hp
from softswitch.sip.happenings import Happening
from softswitch.sip.invitation import Invitation

NO_ANSWER = 408
GONE = {408, 480, 481, 487, 503}
"""Codes that say little: any other one tells the caller more about why nobody answered."""


class DialError(PeerError):
    """Say why a call cannot be placed, by the code that a telephone would be told."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason, field="callee")
        self.code = code


@dataclass(frozen=True, slots=True)
class Destination:
    """One device, or one trunk, that is called."""

    invitation: Invitation
    """Without an offer: the media make that."""
    wish: MediaWish


@dataclass(frozen=True, slots=True)
class Dialled:
    """What a callee stands for."""

    destinations: tuple[Destination, ...]
    """All ring at once; the first to answer gets the call."""
    leave: Callable[[], None]
    """Gives back the place of the call among those of its trunk."""
    trunk: str = ""
    """Name of that trunk; empty where the call takes none."""


Dial = Callable[[LegRequest], Awaitable[Dialled]]
"""Find out whom a request calls; raises DialError or NotNowError."""


class CallingSide:
    """The leg of somebody whom we call."""

    far_end = "callee"

    def __init__(self, leg: SipLeg, dial: Dial) -> None:
        """Begin with nobody called.

        Args:
            leg: whose side this is.
            dial: finds out whom to call.
        """
        self._leg: SipLeg = weakref.proxy(leg)
        self._dial = dial
        self._driver = leg.shared.driver
        self._leave: Callable[[], None] = lambda: None
        self._branches: dict[str, SipMedia] = {}
        """Sessions that still may answer, and the media offered to each."""
        self._best = 0, ""
        self._rings = False
        self._called = False
        self._timer: asyncio.TimerHandle | None = None

    def ring(self, early_media: bool) -> None:
        """Do nothing: it is the far end that rings."""

    async def set_up(self) -> None:
        """Call everybody whom the request stands for."""
        if self._called:
            return
        self._called = True
        leg = self._leg
        try:
            dialled = await self._dial(leg.request)
            self._leave, leg.trunk = dialled.leave, dialled.trunk
            await self._invite(dialled.destinations)
        except PeerError as error:
            leg.rejected(error.code, str(error))
        except NotNowError as error:
            leg.shared.counters.overloaded += 1
            leg.rejected(error.code, str(error))
        except ValueError as error:
            leg.rejected(400, str(error))
        else:
            if leg.request.ring_s is not None:
                self._timer = asyncio.get_running_loop().call_later(leg.request.ring_s, self._give_up)
        self._driver.pump()

    async def take(self, happening: Happening) -> None:
        """Take what one of those called says."""
        match happening:
            case hp.Progressed():
                await self._progressed(happening)
            case hp.Answered():
                await self._answered(happening)
            case hp.Rejected() | hp.Ended():
                self._refused(happening)
            case _:
                pass  # a confirmation means nothing to who called

    def withdraw(self, headers: Mapping[str, str]) -> None:
        """Cancel whatever rings, hang up what was answered."""
        if self._timer is not None:
            self._timer.cancel()
        leg = self._leg
        for session in {*self._branches, leg.session} - {""}:
            self._driver.forget(session)
            self._driver.agent.bye(session, leg.now(), headers=headers)
        for media in set(self._branches.values()) - {leg.media}:
            media.close()
        self._branches.clear()

    def left(self) -> None:
        """Give back the place of the call."""
        self._leave()

    # --- calling ----------------------------------------------------------------------------

    async def _invite(self, destinations: tuple[Destination, ...]) -> None:
        leg = self._leg
        offers: dict[MediaWish, tuple[SipMedia, str]] = {}
        for destination in destinations:
            wish = destination.wish
            if wish not in offers:
                media = SipMedia(leg.shared.media, leg.port, leg.request.mix, wish, leg)
                try:
                    offers[wish] = media, await media.offer()
                except BaseException:
                    media.close()
                    raise
                if leg.media is None:
                    leg.media = media
            media, sdp = offers[wish]
            session = self._driver.agent.invite(replace(destination.invitation, sdp=sdp), leg.now())
            leg.shared.counters.calls_placed += 1
            self._branches[session] = media
            self._driver.watch(session, leg.take)
        if len(self._branches) == 1:
            (leg.session,) = self._branches

    async def _progressed(self, progressed: hp.Progressed) -> None:
        leg = self._leg
        early = bool(progressed.sdp) and len(self._branches) == 1
        if early and progressed.sdp and leg.media is not None and progressed.session in self._branches:
            try:
                await leg.media.take_answer(progressed.sdp)
            except PeerError as error:
                leg.warn("sip", f"early media: {error}", error.code)
                early = False
        if progressed.code >= 180 and (early or not self._rings):
            self._rings = True
            leg.ringing(early)

    async def _answered(self, answered: hp.Answered) -> None:
        leg, session = self._leg, answered.session
        media = self._branches.pop(session, None)
        if media is None:
            return
        leg.session = session
        if self._timer is not None:
            self._timer.cancel()
        self._drop_others(media)
        leg.media = media
        try:
            if answered.wants_answer and answered.sdp is not None:
                self._driver.agent.accept_offer(session, await media.answer(answered.sdp), leg.now())
            elif answered.sdp is not None:
                await media.take_answer(answered.sdp)
            elif media.agreement is None:
                raise PeerError("the far end answered without a description")
        except (PeerError, NotNowError) as error:
            leg.failed("sip", error)
        else:
            leg.stands()
        self._driver.pump()

    def _drop_others(self, winner: SipMedia) -> None:
        """Cancel what else rings: somebody has answered."""
        for session in self._branches:
            self._driver.forget(session)
            self._driver.agent.bye(session, self._leg.now())
        for media in {*self._branches.values(), self._leg.media} - {winner, None}:
            if media is not None:
                media.close()
        self._branches.clear()

    def _refused(self, happening: hp.Rejected | hp.Ended) -> None:
        media = self._branches.pop(happening.session, None)
        self._driver.forget(happening.session)
        if media is None:
            return
        code, reason = (happening.code, happening.reason) if isinstance(happening, hp.Rejected) else (480, "")
        if _tells_more(code, self._best[0]):
            self._best = code, reason
        if code >= 600 or not self._branches:
            self._leg.rejected(*self._best)

    def _give_up(self) -> None:
        self._leg.rejected(NO_ANSWER, "nobody answered")


def _tells_more(code: int, known: int) -> bool:
    """Tell whether a refusal is better worth reporting than the best so far (RFC 3261 section 16.7)."""
    if not known or code >= 600:
        return True
    return known < 600 and known in GONE and code not in GONE
