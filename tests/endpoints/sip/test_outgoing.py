"""Calls that we place, to telephones without audio."""

import asyncio

import pytest

from softswitch.call.needs import SipOption
from softswitch.call.reports import LegAnswered, LegEnded, LegFailed, LegRejected, LegRinging
from softswitch.settings import User
from softswitch.sip import happenings as hp
from tests.endpoints.sip.phone import HOST, Phone, phone, sdp
from tests.endpoints.sip.rig import Rig, rig, settings

ALICE = User(name="alice", password="secret")


async def test_neighbour_is_called_rings_and_answers():
    async with rig() as here, phone() as far:
        party = here.dial(f"sip:bob@{HOST}:{far.port}", caller="+4930", headers={"X-Note": "hi"})
        invited = await far.until(hp.Invited)
        assert invited.request.headers.get("X-Note") == "hi"
        assert invited.request.from_address.uri.user == "+4930"
        assert invited.offer is not None
        far.do("ring", invited.session)
        assert not (await party.until(LegRinging)).early_media
        far.do("answer", invited.session, sdp())
        assert (await party.until(LegAnswered)).codec == "pcma"
        assert party.leg.dialog[0] == invited.request.call_id
        far.do("bye", invited.session, headers={"X-Why": "bored"})
        ended = await party.until(LegEnded)
        assert (ended.reason, ended.initiator, ended.headers) == ("callee", "callee", {"X-Why": "bored"})
        assert here.endpoints.legs == 0


async def test_early_media_of_the_far_end_are_told():
    async with rig() as here, phone() as far:
        party = here.dial(f"sip:bob@{HOST}:{far.port}")
        invited = await far.until(hp.Invited)
        far.do("ring", invited.session, code=183, sdp=sdp())
        assert (await party.until(LegRinging)).early_media
        far.do("answer", invited.session, sdp())
        await party.until(LegAnswered)


async def test_answer_that_does_not_fit_ends_the_call():
    async with rig() as here, phone() as far:
        party = here.dial(f"sip:bob@{HOST}:{far.port}")
        invited = await far.until(hp.Invited)
        far.do("answer", invited.session, sdp().replace("PCMA/8000", "iLBC/8000").replace("AVP 8", "AVP 97"))
        await party.until(LegFailed)
        assert (await far.until(hp.Ended)).reason == "bye"


@pytest.mark.parametrize(
    ("callee", "trunk", "code", "words"),
    [
        ("123", "", 404, "no [[trunk]]"),
        ("sip:bob@192.0.2.9", "", 403, "[sip] allow"),
        ("sip:@@", "", 400, "callee"),
        ("user:nobody", "", 404, "no [[user]]"),
        ("user:alice", "", 480, "registered"),
        ("alice", "", 480, "registered"),
        ("sip:alice@127.0.0.1", "", 480, "registered"),
        ("123", "nowhere", 404, "no [[trunk]] named 'nowhere'"),
    ],
)
async def test_callee_that_cannot_be_reached_is_told_why(callee, trunk, code, words):
    async with rig(settings(users=(ALICE,))) as here:
        party = here.dial(callee, trunk=trunk)
        rejected = await party.until(LegRejected)
        assert rejected.code == code
        assert words in rejected.reason
        assert here.endpoints.legs == 0


async def test_header_that_would_write_another_line_is_refused():
    async with rig() as here, phone() as far:
        party = here.dial(f"sip:bob@{HOST}:{far.port}", headers={"X-A": "b\r\nEvil: 1"})
        assert (await party.until(LegRejected)).code == 400


async def test_nobody_there_is_told_at_once():
    async with phone() as far:
        port = far.port
    async with rig() as here:
        party = here.dial(f"sip:bob@{HOST}:{port}")
        async with asyncio.timeout(5):
            assert (await party.until(LegRejected)).code == 503


async def test_account_of_the_option_is_used():
    async with rig() as here, phone() as far:
        option = SipOption("bob", "secret", headers={"X-Own": "1"}, contact=f"sip:me@{HOST}:5999")
        here.dial(f"sip:x@{HOST}:{far.port}", sip=option)
        invited = await far.until(hp.Invited)
        assert invited.request.headers.get("X-Own") == "1"
        assert str(invited.request.contact[0].uri) == f"sip:me@{HOST}:5999"
        assert invited.request.from_address.uri.user == "bob"


async def test_hung_up_while_it_is_still_being_found_sends_nothing():
    async with rig() as here, phone() as far:
        party = here.dial(f"sip:bob@{HOST}:{far.port}")
        party.leg.hangup()
        await party.leg.closed()
        await asyncio.sleep(0.05)
        assert far.happenings == []
        assert here.endpoints.legs == 0


# --- users with several devices ---------------------------------------------------------------


async def registered(here: Rig, *devices: Phone) -> None:
    for device in devices:
        assert await device.register(here.port, "alice", "secret") == 200


async def test_all_devices_ring_and_the_first_to_answer_has_the_call():
    async with rig(settings(users=(ALICE,))) as here, phone() as one, phone("tcp") as two, phone() as three:
        await registered(here, one, two, three)
        party = here.dial("alice")
        rung = [await device.until(hp.Invited) for device in (one, two, three)]
        assert len({invited.request.call_id for invited in rung}) == 3
        one.do("ring", rung[0].session)
        two.do("ring", rung[1].session)
        await party.until(LegRinging)
        two.do("answer", rung[1].session, sdp())
        await party.until(LegAnswered)
        await one.until(hp.Cancelled)
        await three.until(hp.Cancelled)
        assert party.leg.dialog[0] == rung[1].request.call_id
        party.leg.hangup()
        assert (await two.until(hp.Ended)).reason == "bye"


async def test_refusal_of_one_device_leaves_the_others_ringing():
    async with rig(settings(users=(ALICE,))) as here, phone() as one, phone() as two:
        await registered(here, one, two)
        party = here.dial("alice")
        one.do("reject", (await one.until(hp.Invited)).session, 486)
        await asyncio.sleep(0.05)
        assert not party.of(LegRejected)
        two.do("reject", (await two.until(hp.Invited)).session, 480)
        assert (await party.until(LegRejected)).code == 486


async def test_declining_on_one_device_declines_on_all():
    async with rig(settings(users=(ALICE,))) as here, phone() as one, phone() as two:
        await registered(here, one, two)
        party = here.dial("alice")
        await two.until(hp.Invited)
        one.do("reject", (await one.until(hp.Invited)).session, 603)
        assert (await party.until(LegRejected)).code == 603
        await two.until(hp.Cancelled)


async def test_hanging_up_cancels_all_devices():
    async with rig(settings(users=(ALICE,))) as here, phone() as one, phone() as two:
        await registered(here, one, two)
        party = here.dial("alice")
        await one.until(hp.Invited)
        await two.until(hp.Invited)
        party.leg.hangup()
        await one.until(hp.Cancelled)
        await two.until(hp.Cancelled)
        await party.leg.closed()
        assert here.endpoints.media.sockets.in_use == 0


async def test_device_whose_connection_is_gone_is_not_called():
    async with rig(settings(users=(ALICE,))) as here:
        async with phone("tcp") as gone:
            await registered(here, gone)
        async with asyncio.timeout(10):
            while here.endpoints.users()[0].registered:
                await asyncio.sleep(0.01)
        assert (await here.dial("alice").until(LegRejected)).code == 480
