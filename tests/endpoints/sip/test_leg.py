"""What happens within a call: keys, holds, texts, transfers."""

import asyncio

import pytest

from softswitch.call.needs import Candidate
from softswitch.call.reports import (
    DigitReceived,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegReferred,
    LegWarned,
    TextReceived,
    TransferRequested,
)
from softswitch.sip import happenings as hp
from tests.endpoints.sip.phone import HOST, Phone, phone, sdp
from tests.endpoints.sip.rig import Party, Rig, rig


async def call(here: Rig, far: Phone, offer: str | None = "") -> tuple[Party, str]:
    """Let a telephone call, and be answered."""
    session = far.invite(here.port, offer=offer)
    await far.until(hp.Answered)
    party = await here.called()
    await party.until(LegAnswered)
    return party, session


async def test_digits_by_info_are_told():
    async with rig() as here, phone() as far:
        party, session = await call(here, far)
        far.do("info", session, "Signal=5\r\nDuration=200\r\n", "application/dtmf-relay")
        far.do("info", session, "#", "application/dtmf")
        await party.until(DigitReceived, 2)
        assert party.of(DigitReceived) == [
            DigitReceived("a", "5", 200, "info"),
            DigitReceived("a", "#", 160, "info"),
        ]


async def test_digits_go_by_info_where_no_events_are_agreed_on():
    async with rig() as here, phone() as far:
        party, _ = await call(here, far, sdp(events=False))
        assert party.of(LegAnswered)[0].tones_only
        party.leg.dtmf("1a")
        first, second = await far.until(hp.InfoReceived), await far.until(hp.InfoReceived, 2)
        assert first.content_type == "application/dtmf-relay"
        assert first.body.startswith("Signal=1\r\n")
        assert second.body.startswith("Signal=A\r\n")


async def test_digits_are_bounded():
    async with rig() as here, phone() as far:
        party, _ = await call(here, far, sdp(events=False))
        party.leg.dtmf("1" * 65)
        assert (await party.until(LegWarned)).code == 429


async def test_hold_is_answered_and_told():
    async with rig() as here, phone() as far:
        party, session = await call(here, far)
        far.do("reinvite", session, sdp(direction="sendonly", version=2))
        assert "a=recvonly" in (await far.until(hp.OfferAnswered)).sdp
        assert (await party.until(LegHeld)).held
        far.do("reinvite", session, sdp(version=3))
        assert "a=recvonly" not in (await far.until(hp.OfferAnswered, 2)).sdp
        assert not (await party.until(LegHeld, 2)).held


async def test_offer_that_cannot_be_agreed_on_leaves_the_call_as_it_was():
    async with rig() as here, phone() as far:
        party, session = await call(here, far)
        far.do(
            "reinvite", session, sdp(version=2).replace("PCMA/8000", "iLBC/8000").replace("AVP 8", "AVP 97")
        )
        assert (await far.until(hp.OfferRefused)).code == 488
        assert (await party.until(LegWarned)).sender == "offer"
        assert not party.of(LegEnded)


async def test_reinvite_without_an_offer_gets_ours():
    async with rig() as here, phone() as far:
        _, session = await call(here, far)
        far.do("reinvite", session, None)
        offered = await far.until(hp.Offered)
        assert offered.sdp is not None
        far.do("accept_offer", session, sdp(version=2))
        await asyncio.sleep(0.05)
        assert not here.parties[0].of(LegEnded)


async def test_texts_travel_both_ways():
    async with rig() as here, phone() as far:
        party, session = await call(here, far)
        far.do("message", session, "Grüße", "text/plain")
        text = await party.until(TextReceived)
        assert (text.body, text.content_type) == ("Grüße", "text/plain")
        party.leg.message("zurück", "text/plain")
        assert (await far.until(hp.TextReceived)).body == "zurück"


async def test_far_end_that_is_referred_tells_how_it_goes():
    async with rig() as here, phone() as far:
        party, session = await call(here, far)
        party.leg.refer(f"sip:carol@{HOST}", {"Referred-By": f"<sip:boss@{HOST}>"})
        asked = await far.until(hp.ReferReceived)
        assert asked.refer_to == f"sip:carol@{HOST}"
        assert "boss" in asked.referred_by
        far.agent.accept_refer(session, asked.refer, far.driver.now())
        far.agent.refer_progress(session, asked.refer, 180, "Ringing", far.driver.now())
        far.agent.refer_progress(session, asked.refer, 200, "OK", far.driver.now())
        far.driver.pump()
        async with asyncio.timeout(10):
            while not any(report.final for report in party.of(LegReferred)):
                await asyncio.sleep(0.01)
        assert party.of(LegReferred)[-1] == LegReferred("a", 200, "OK", True)


async def test_transfer_that_the_far_end_asks_for_is_told_and_answered():
    async with rig() as here, phone() as far:
        party, session = await call(here, far)
        far.agent.refer(session, f"sip:carol@{HOST}", far.driver.now(), referred_by=f"sip:phone@{HOST}")
        far.driver.pump()
        asked = await party.until(TransferRequested)
        assert asked.refer_to == f"sip:carol@{HOST}"
        assert asked.replaces is None
        party.leg.accept_transfer()
        party.leg.transfer_progress(180, "Ringing")
        party.leg.transfer_progress(200, "OK")
        async with asyncio.timeout(10):
            while not any(one.final for one in far.happenings if isinstance(one, hp.ReferProgressed)):
                await asyncio.sleep(0.01)
        assert [one.code for one in far.happenings if isinstance(one, hp.ReferProgressed)][-1] == 200


async def test_transfer_that_nobody_wants_is_refused():
    async with rig() as here, phone() as far:
        party, session = await call(here, far)
        far.agent.refer(session, f"sip:carol@{HOST}", far.driver.now())
        far.driver.pump()
        await party.until(TransferRequested)
        party.leg.transfer_progress(603, "Decline")
        refused = await far.until(hp.ReferProgressed)
        assert (refused.code, refused.final) == (603, True)
        assert not party.of(LegEnded)


async def test_leg_takes_no_descriptions_of_the_application():
    async with rig() as here, phone() as far:
        party, _ = await call(here, far)
        party.leg.offer("v=0")
        party.leg.candidates([Candidate("candidate:1")])
        assert [warned.code for warned in party.of(LegWarned)] == [409, 409]


@pytest.mark.parametrize("verb", ["ring", "answer", "accept_transfer"])
async def test_verbs_after_the_end_do_nothing(verb):
    async with rig() as here, phone() as far:
        party, session = await call(here, far)
        far.do("bye", session)
        await party.until(LegEnded)
        getattr(party.leg, verb)()
        party.leg.dtmf("1")
        party.leg.hangup()
        party.leg.reject(486, "late")
        await party.leg.closed()
        assert len(party.of(LegEnded)) == 1
        assert here.endpoints.media.sockets.in_use == 0


async def test_stopping_says_goodbye_to_everybody():
    async with phone() as far:
        async with rig() as here:
            await call(here, far)
        assert (await far.until(hp.Ended)).reason == "bye"
