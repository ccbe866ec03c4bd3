"""Offers within an answered SIP call: hold, resume, other codecs, and a dialog that replaces the leg's."""

import logging
from typing import assert_never

from softswitch.errors import NotNowError, PeerError
from softswitch.legs.sip.leg.leg_shared import LegCore
from softswitch.sip.events import Invited, OfferAnswered, Offered, OfferRefused

logger = logging.getLogger(__name__)

ANSWERS = frozenset({400, 488, 503})
"""Codes of internal errors that mean the same in SIP; any other one becomes 488."""


async def negotiate(leg: LegCore, event: Offered | OfferAnswered | OfferRefused) -> None:
    """Answer an offer of the peer, or apply the peer's answer to the leg's offer."""
    driver, media = leg.shared.driver, leg.media
    match event:
        case Offered():
            if media is None:
                # Another branch of a fork, or an offer before the first answer: nothing was agreed on yet.
                driver.agent.refuse_offer(event.session, 488, leg.now())
                driver.pump()
                return
            try:
                answer = await (media.offer() if event.sdp is None else media.answer(event.sdp))
            except (PeerError, NotNowError) as error:
                code = error.code if error.code in ANSWERS else 488
                driver.agent.refuse_offer(event.session, code, leg.now())
                leg.warn("offer", str(error), error.code)
            else:
                driver.agent.accept_offer(event.session, answer, leg.now())
        case OfferAnswered() if media is not None:
            try:
                await media.take_answer(event.sdp)
            except PeerError as error:
                leg.failed("sip", error)
        case OfferRefused() if media is not None:
            await media.withdraw()
        case OfferAnswered() | OfferRefused():
            pass  # the media whose offer this answers are closed
        case _ as unreachable:
            assert_never(unreachable)
    driver.pump()


async def take_over(leg: LegCore, invited: Invited) -> None:
    """Replace the leg's dialog by that of another phone (RFC 3891); its offer is a later offer of the leg."""
    driver, media = leg.shared.driver, leg.media
    try:
        if media is None or not leg.answered or invited.offer is None:
            raise PeerError("Replaces: the call is not answered, or the INVITE has no offer")
        answer = await media.answer(invited.offer)
    except (PeerError, NotNowError) as error:
        logger.info("an INVITE with Replaces was refused", extra={"error": str(error)})
        driver.agent.reject(invited.session, 488, leg.now())
    else:
        replaced, leg.session = leg.session, invited.session
        driver.belongs(leg.session, leg.request.call)
        driver.unsubscribe(replaced)
        driver.subscribe(invited.session, leg.on_event)
        driver.agent.answer(invited.session, answer, leg.now())
        driver.agent.bye(replaced, leg.now())
    driver.pump()
