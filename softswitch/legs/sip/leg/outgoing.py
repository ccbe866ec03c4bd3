"""Outgoing SIP calls: to a trunk, to an address, or to all devices of a user at once."""

import asyncio
import logging
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace

from softswitch.call.forking import ELSEWHERE, is_better
from softswitch.errors import NotNowError, PeerError
from softswitch.legs.sip.destinations import Dialled, Dialler
from softswitch.legs.sip.dial_error import DialError
from softswitch.legs.sip.leg.leg import RemoteRole, SipLeg
from softswitch.legs.sip.media.negotiation import SipMedia
from softswitch.legs.sip.media.shared import MediaOptions
from softswitch.sip import events as hp
from softswitch.sip.events import CallEvent

logger = logging.getLogger(__name__)

NO_ANSWER = 408
REDIRECTIONS = frozenset({300, 301, 302})
"""Status codes whose targets may take the call in place of the callee (RFC 3261 section 21.3)."""
MOST_TARGETS = 5
"""Targets of one redirection that are considered, in their order of preference."""


@dataclass(frozen=True, slots=True)
class _Branch:
    """One INVITE that may still be answered."""

    media: SipMedia
    options: MediaOptions
    origin: Dialled
    uri: str
    """Its Request-URI."""


class OutgoingSide:
    """Set-up of an outgoing leg: one INVITE to each destination, the first answer wins."""

    remote_role: RemoteRole = "callee"

    def __init__(self, leg: SipLeg, dialler: Dialler) -> None:
        """Prepare without sending anything.

        Args:
            leg: the leg; referenced weakly.
            dialler: finds the destinations of the leg's request.
        """
        self._leg: SipLeg = weakref.proxy(leg)
        self._dialler = dialler
        self._driver = leg.shared.driver
        self._dialled: list[Dialled] = []
        """All that was dialled, which may hold shares of trunks' limits."""
        self._branches: dict[str, _Branch] = {}
        """Sessions that may still answer."""
        self._refusal: tuple[int, str, tuple[str, ...]] = 0, "", ()
        """Code, reason phrase and targets of the most informative refusal so far."""
        self._described: dict[str, str] = {}
        """Answers of provisional responses by session, that count where the 200 has none."""
        self._redirects = 0
        self._invited: set[str] = set()
        """Request-URIs that were invited: a redirection to one of them is a loop."""
        self._rings = False
        self._called = False
        self._timer: asyncio.TimerHandle | None = None

    def ring(self, early_media: bool) -> None:
        """Do nothing: the callee's device rings."""

    async def set_up(self) -> None:
        """Find the destinations of the request and invite all of them."""
        if self._called:
            return
        self._called = True
        leg = self._leg
        try:
            await self._invite(await self._dialler.dial(leg.request))
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

    async def on_event(self, event: CallEvent) -> None:
        """Handle a response of one destination."""
        match event:
            case hp.Progressed():
                await self._progressed(event)
            case hp.Answered():
                await self._answered(event)
            case hp.Rejected() | hp.Ended():
                await self._refused(event)
            case _:
                pass  # a confirmation concerns incoming calls only

    def withdraw(self, headers: Mapping[str, str]) -> None:
        """Cancel what rings and hang up what was answered."""
        if self._timer is not None:
            self._timer.cancel()
        leg = self._leg
        for session in {*self._branches, leg.session} - {""}:
            self._driver.unsubscribe(session)
            self._driver.agent.bye(session, leg.now(), headers=headers)
        for media in {branch.media for branch in self._branches.values()} - {leg.media}:
            media.close()
        self._branches.clear()

    def release(self) -> None:
        """End the call's share of its trunk's limits."""
        for dialled in self._dialled:
            dialled.release()

    async def _invite(self, dialled: Dialled) -> None:
        leg = self._leg
        self._dialled.append(dialled)
        leg.trunk = dialled.trunk
        # Destinations with the same options share one offer, and so one pair of ports.
        offers: dict[MediaOptions, tuple[SipMedia, str]] = {}
        for destination in dialled.destinations:
            options = destination.options
            if options not in offers:
                media = SipMedia(leg.shared.media, leg.port, leg.request.mix, options, leg)
                try:
                    offers[options] = media, await media.offer()
                except BaseException:
                    media.close()
                    raise
                if leg.media is None:
                    leg.media = media
            media, sdp = offers[options]
            session = self._driver.agent.invite(replace(destination.invitation, sdp=sdp), leg.now())
            self._driver.belongs(session, leg.request.call)
            leg.shared.counters.calls_placed += 1
            uri = destination.invitation.request_uri
            self._branches[session] = _Branch(media, options, dialled, uri)
            self._invited.add(uri)
            self._driver.subscribe(session, leg.on_event)
        leg.session = next(iter(self._branches)) if len(self._branches) == 1 else ""

    async def _progressed(self, progressed: hp.Progressed) -> None:
        leg = self._leg
        # With several branches, early media of one would be heard over those of another.
        early = bool(progressed.sdp) and len(self._branches) == 1 and leg.request.early_media
        if early and progressed.sdp and leg.media is not None and progressed.session in self._branches:
            try:
                await leg.media.take_answer(progressed.sdp)
                leg.answer_sdp = progressed.sdp
            except PeerError as error:
                leg.warn("sip", f"early media: {error}", error.code)
                early = False
        if progressed.sdp and not early and progressed.session in self._branches:
            self._described[progressed.session] = progressed.sdp
        if progressed.code >= 180 and (early or not self._rings):
            self._rings = True
            leg.ringing(early)

    async def _answered(self, answered: hp.Answered) -> None:
        leg, session = self._leg, answered.session
        branch = self._branches.pop(session, None)
        if branch is None:
            return
        media = branch.media
        leg.session, leg.trunk = session, branch.origin.trunk
        if self._timer is not None:
            self._timer.cancel()
        self._cancel_others(media)
        leg.media = media
        described = answered.sdp
        if described is None and media.agreement is None:
            described = self._described.get(session)
        leg.answer_sdp = described or leg.answer_sdp
        try:
            if answered.wants_answer and described is not None:
                self._driver.agent.accept_offer(session, await media.answer(described), leg.now())
            elif described is not None:
                await media.take_answer(described)
            elif media.agreement is None:
                raise PeerError("sdp: the callee's 200 carries no answer")
        except (PeerError, NotNowError) as error:
            leg.failed("sip", error)
        else:
            leg.connected()
        self._driver.pump()

    def _cancel_others(self, winner: SipMedia) -> None:
        """Cancel the other branches after one has answered."""
        for session in self._branches:
            self._driver.unsubscribe(session)
            self._driver.agent.bye(session, self._leg.now(), headers=ELSEWHERE)
        for media in {*(branch.media for branch in self._branches.values()), self._leg.media}:
            if media is not None and media is not winner:
                media.close()
        self._branches.clear()

    async def _refused(self, event: hp.Rejected | hp.Ended) -> None:
        branch = self._branches.pop(event.session, None)
        self._driver.unsubscribe(event.session)
        if branch is None:
            return
        code, reason, targets = 480, "", tuple[str, ...]()
        if isinstance(event, hp.Rejected):
            code, reason, targets = event.code, event.reason, event.contacts[:MOST_TARGETS]
        if code in REDIRECTIONS and await self._redirected(branch, targets):
            return
        if is_better(code, self._refusal[0]):
            self._refusal = code, reason, targets
        if code >= 600 or not self._branches:
            code, reason, targets = self._refusal
            self._leg.rejected(code, reason, from_peer=True, redirect_to=targets)

    # --- redirections -----------------------------------------------------------------------

    async def _redirected(self, branch: _Branch, targets: tuple[str, ...]) -> bool:
        """Invite the first target of a redirection that may be called; return False where none may."""
        leg = self._leg
        if leg.is_over:
            return True
        if branch.media.agreement is not None:
            return False  # early media were agreed on with the party that redirects
        # The call over the trunk is over; the target may need its share.
        branch.origin.release()
        for target in targets:
            if self._redirects >= self._dialler.redirects or target in self._invited:
                leg.shared.counters.redirects_refused += 1
                continue
            try:
                dialled = self._without_loops(
                    await self._dialler.redirect(leg.request, branch.origin, target)
                )
                self._close_unused(branch)
                await self._invite(dialled)
            except (PeerError, NotNowError, ValueError) as error:
                leg.shared.counters.redirects_refused += 1
                logger.info(
                    "a redirection is not followed", extra={"target": target[:200], "error": str(error)}
                )
            else:
                self._redirects += 1
                leg.shared.counters.redirects_followed += 1
                self._driver.pump()
                return True
        return False

    def _without_loops(self, dialled: Dialled) -> Dialled:
        """Return what was dialled without the destinations that were invited before.

        Raises:
            DialError: none is left.
        """
        fresh = tuple(one for one in dialled.destinations if one.invitation.request_uri not in self._invited)
        if not fresh:
            dialled.release()
            raise DialError(482, "redirection: the target was called before")
        return replace(dialled, destinations=fresh)

    def _close_unused(self, branch: _Branch) -> None:
        """Close the media of a branch that is over, unless another one shares them."""
        if any(other.media is branch.media for other in self._branches.values()):
            return
        branch.media.close()
        if self._leg.media is branch.media:
            self._leg.media = next((other.media for other in self._branches.values()), None)

    def _give_up(self) -> None:
        self._leg.rejected(NO_ANSWER, "Request Timeout", from_peer=True)
