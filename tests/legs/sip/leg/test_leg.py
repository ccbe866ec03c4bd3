"""Events within a call: digits, holds, texts, transfers."""

import asyncio

import pytest

from softswitch.call.vocabulary.reports import (
    DigitReceived,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegReferred,
    LegWarned,
    TextReceived,
    TransferRequested,
)
from softswitch.call.vocabulary.values import Candidate
from softswitch.legs.sip.leg.digits import GAP_S
from softswitch.rtp.telephone_event import PAUSE_MS
from softswitch.sip import events as hp
from tests.legs.sip.phone import HOST, Phone, phone, sdp
from tests.legs.sip.rig import Party, Rig, rig


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
        assert [(k.leg, k.digit, k.duration_ms, k.method) for k in party.of(DigitReceived)] == [
            ("a", "5", 200, "info"),
            ("a", "#", 160, "info"),
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


async def test_comma_among_digits_sent_by_info_is_a_pause_and_no_digit():
    async with rig() as here, phone() as far:
        party, _ = await call(here, far, sdp(events=False))
        began = asyncio.get_running_loop().time()
        party.leg.dtmf("1,2")
        await far.until(hp.InfoReceived, 2)
        assert asyncio.get_running_loop().time() - began >= GAP_S + PAUSE_MS / 1000
        sent = [one.body.split("\r\n")[0] for one in far.happenings if isinstance(one, hp.InfoReceived)]
        assert sent == ["Signal=1", "Signal=2"]


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


async def test_peer_that_is_referred_tells_how_it_goes():
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
        async with asyncio.timeout(60):
            while not any(report.final for report in party.of(LegReferred)):
                await asyncio.sleep(0.01)
        assert party.of(LegReferred)[-1] == LegReferred("a", 200, "OK", True)


async def test_transfer_that_the_peer_asks_for_is_told_and_answered():
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
        async with asyncio.timeout(60):
            while not any(one.final for one in far.happenings if isinstance(one, hp.ReferProgressed)):
                await asyncio.sleep(0.01)
        assert [one.code for one in far.happenings if isinstance(one, hp.ReferProgressed)][-1] == 200


async def test_transfer_without_a_decision_is_refused():
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


async def test_bye_and_refer_go_without_a_client_s_identity_and_it_is_told():
    async with rig() as here, phone() as far:
        party, _ = await call(here, far)
        party.leg.refer(f"sip:carol@{HOST}", {"p-asserted-identity": "<sip:boss@bank.example>"})
        assert "p-asserted-identity" in (await party.until(LegReferred)).reason
        party.leg.refer(f"sip:carol@{HOST}?Privacy=none", {})
        assert "privacy" in (await party.until(LegReferred, 2)).reason
        party.leg.hangup(headers={"X-Why": "1", "REMOTE-PARTY-ID": "<sip:boss@bank.example>"})
        assert "REMOTE-PARTY-ID" in (await party.until(LegWarned)).error
        ended = await far.until(hp.Ended)
        assert "boss" not in str(ended.headers)
        assert not any(isinstance(one, hp.ReferReceived) for one in far.happenings)
