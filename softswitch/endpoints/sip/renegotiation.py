"""Offers within a call that stands: hold, resume, other codecs, another phone in the place of the far end."""

from softswitch.endpoints.sip.leg_shared import LegCore
from softswitch.errors import NotNowError, PeerError
from softswitch.sip.happenings import Invited, OfferAnswered, Offered, OfferRefused

ANSWERS = frozenset({400, 488, 503})
"""Codes of our errors that say the same in SIP; any other one becomes 488."""


async def negotiate(leg: LegCore, happening: Offered | OfferAnswered | OfferRefused) -> None:
    """Answer an offer of the far end, or take what it says to one of ours."""
    driver, media = leg.shared.driver, leg.media
    match happening:
        case Offered() if media is None:
            # Another branch of a fork, or before our answer: nothing could be agreed on.
            driver.agent.refuse_offer(happening.session, 488, leg.now())
        case Offered() if media is not None:
            try:
                answer = await (media.offer() if happening.sdp is None else media.answer(happening.sdp))
            except (PeerError, NotNowError) as error:
                code = error.code if error.code in ANSWERS else 488
                driver.agent.refuse_offer(happening.session, code, leg.now())
                leg.warn("offer", str(error), error.code)
            else:
                driver.agent.accept_offer(happening.session, answer, leg.now())
        case OfferAnswered() if media is not None:
            try:
                await media.take_answer(happening.sdp)
            except PeerError as error:
                leg.failed("sip", error)
        case OfferRefused() if media is not None:
            media.withdraw()
        case _:
            pass  # what is said to an offer whose media are gone means nothing any more
    driver.pump()


async def take_over(leg: LegCore, invited: Invited) -> None:
    """Let another phone take the far end's place (RFC 3891): its offer is a later offer of this leg."""
    driver, media = leg.shared.driver, leg.media
    try:
        if media is None or not leg.answered or invited.offer is None:
            raise PeerError("there is no call that could be taken over")
        answer = await media.answer(invited.offer)
    except (PeerError, NotNowError) as error:
        driver.agent.reject(invited.session, 488, leg.now(), reason=str(error))
    else:
        replaced, leg.session = leg.session, invited.session
        driver.forget(replaced)
        driver.watch(invited.session, leg.take)
        driver.agent.answer(invited.session, answer, leg.now())
        driver.agent.bye(replaced, leg.now())
    driver.pump()
