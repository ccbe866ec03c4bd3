"""Outgoing calls, to phones without audio."""

import asyncio

import pytest

from softswitch.call.vocabulary.reports import LegAnswered, LegEnded, LegFailed, LegRejected, LegRinging
from softswitch.call.vocabulary.values import SipOption
from softswitch.legs.sip.destinations import Forwarded
from softswitch.legs.sip.dial_error import DialError
from softswitch.settings import Trunk, User
from softswitch.sip import events as hp
from tests.legs.sip.phone import HOST, Phone, phone, sdp
from tests.legs.sip.rig import Rig, rig, settings

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
        answered = await party.until(LegAnswered)
        assert (answered.codec, answered.sdp) == ("pcma", sdp())
        assert party.leg.dialog[0] == invited.request.call_id
        far.do("bye", invited.session, headers={"X-Why": "bored"})
        ended = await party.until(LegEnded)
        assert (ended.reason, ended.initiator, ended.headers) == ("callee", "callee", {"X-Why": "bored"})
        assert here.endpoints.legs == 0


async def test_early_media_of_the_peer_are_told():
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
        ("user:unknown", "", 404, "no [[user]]"),
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


@pytest.mark.each_loop
async def test_unreachable_server_is_passed_over_at_once():
    async with phone() as far:
        port = far.port
    async with rig() as here, phone() as there:
        for number in range(1, 4):
            party = here.dial(f"sip:bob@{HOST}:{port}")
            async with asyncio.timeout(5):
                assert (await party.until(LegRejected)).code == 503
            party = here.dial(f"sip:bob@{HOST}:{there.port}")
            there.do("answer", (await there.until(hp.Invited, number)).session, sdp())
            await party.until(LegAnswered)


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


async def test_one_of_several_callees_is_not_heard_before_its_answer():
    async with rig() as here, phone() as far:
        party = here.dial(f"sip:bob@{HOST}:{far.port}", early_media=False)
        invited = await far.until(hp.Invited)
        far.do("ring", invited.session, code=183, sdp=sdp())
        assert not (await party.until(LegRinging)).early_media
        far.do("answer", invited.session, sdp())
        assert (await party.until(LegAnswered)).sdp == sdp()


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
        assert "cause=200" in (await one.until(hp.Cancelled)).headers["Reason"]
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
        async with asyncio.timeout(60):
            while here.endpoints.users()[0].registered:
                await asyncio.sleep(0.01)
        assert (await here.dial("alice").until(LegRejected)).code == 480


async def test_device_behind_a_proxy_is_called_by_its_path():
    async with rig(settings(users=(ALICE,))) as here, phone() as edge:
        path = f"<sip:{HOST}:{edge.port};lr>"
        assert (
            await edge.register(here.port, "alice", "secret", contact="<sip:alice@10.9.9.9>", path=path)
            == 200
        )
        assert (await edge.until(hp.RequestAnswered)).response.headers["Path"] == path
        party = here.dial("alice")
        invited = await edge.until(hp.Invited)
        assert str(invited.request.uri) == "sip:alice@10.9.9.9"
        assert invited.request.headers["Route"] == path
        edge.do("answer", invited.session, sdp())
        await party.until(LegAnswered)


async def test_path_does_not_lead_around_the_rules_of_a_trunk():
    async with phone() as far, phone() as one:
        trunk = Trunk("t", (f"{HOST}:{far.port}",), prefixes=("+49",))
        async with rig(settings(users=(ALICE,), trunks=(trunk,))) as here:
            path = f"<sip:{HOST}:{far.port};lr>"
            await one.register(here.port, "alice", "secret", path=path)
            rejected = await here.dial("alice").until(LegRejected)
            assert (rejected.code, "Path" in rejected.reason) == (403, True)


# --- redirections -----------------------------------------------------------------------------


BOB = User(name="bob", password="secret")


def at(far: Phone, user: str = "bob") -> str:
    return f"sip:{user}@{HOST}:{far.port}"


@pytest.mark.each_loop
async def test_redirection_is_followed_to_the_first_target_that_may_be_called():
    async with rig() as here, phone() as one, phone() as two:
        party = here.dial(at(one), headers={"X-Note": "hi"}, sip=SipOption("me", "secret"))
        first = await one.until(hp.Invited)
        one.redirect(first.session, "mailto:bob@x", "sip:bob@192.0.2.9", at(two) + "?X-Evil=1")
        invited = await two.until(hp.Invited)
        assert str(invited.request.uri) == at(two)
        assert (invited.request.headers["X-Note"], "X-Evil" in invited.request.headers) == ("hi", False)
        two.do("answer", invited.session, sdp())
        await party.until(LegAnswered)
        assert party.leg.dialog[0] == invited.request.call_id
        counters = here.endpoints.counters
        assert (counters.redirects_followed, counters.redirects_refused) == (1, 2)
        party.leg.hangup()
        await two.until(hp.Ended)
        await party.leg.closed()
        assert here.endpoints.media.sockets.in_use == 0


async def test_redirections_are_counted_and_loops_end():
    async with rig(settings({"follow_redirects": 2})) as here, phone() as one, phone() as two:
        party = here.dial(at(one))
        one.redirect((await one.until(hp.Invited)).session, at(two))
        two.redirect((await two.until(hp.Invited)).session, at(one), at(two, "carl"))
        two.redirect((await two.until(hp.Invited, 2)).session, at(two, "dora"))
        rejected = await party.until(LegRejected)
        assert (rejected.code, rejected.redirect_to) == (302, (at(two, "dora"),))
        assert len([one for one in one.happenings if isinstance(one, hp.Invited)]) == 1


async def test_redirection_that_is_not_followed_tells_its_targets():
    async with rig(settings({"follow_redirects": 0})) as here, phone() as one:
        party = here.dial(at(one))
        one.redirect((await one.until(hp.Invited)).session, "sip:a@192.0.2.1", "tel:+4930")
        rejected = await party.until(LegRejected)
        assert rejected.from_peer
        assert (rejected.code, rejected.redirect_to) == (302, ("sip:a@192.0.2.1", "tel:+4930"))


async def test_redirection_of_a_trunk_stays_within_its_rules():
    async with phone() as far, phone() as other:
        trunk = Trunk("t", (f"{HOST}:{far.port}",), prefixes=("+49",), max_calls=1)
        second = Trunk("u", (f"{HOST}:{other.port}",))
        async with rig(settings(trunks=(trunk, second))) as here:
            party = here.dial("+4930")
            targets = (at(far, "+1900"), at(other, "+4940"), "tel:+1900", at(far, "+4931"))
            far.redirect((await far.until(hp.Invited)).session, *targets)
            invited = await far.until(hp.Invited, 2)
            assert invited.request.uri.user == "+4931"
            assert not other.happenings
            assert here.endpoints.trunks()[0].calls == 1
            far.do("reject", invited.session, 486)
            assert (await party.until(LegRejected)).code == 486
            assert here.endpoints.trunks()[0].calls == 0
            assert here.endpoints.trunks()[1].calls == 0


async def test_redirection_of_an_address_reaches_users_and_no_trunk():
    async with phone() as far, phone() as one, phone() as bob:
        trunk = Trunk("t", (f"{HOST}:{far.port}",))
        async with rig(settings(trunks=(trunk,), users=(BOB,))) as here:
            await bob.register(here.port, "bob", "secret")
            party = here.dial(at(one))
            here_at = f"{HOST}:{here.port}"
            targets = (f"sip:+4930@{here_at}", "tel:+4930", at(far, "+4930"), f"sip:bob@{here_at}")
            one.redirect((await one.until(hp.Invited)).session, *targets)
            bob.do("answer", (await bob.until(hp.Invited)).session, sdp())
            await party.until(LegAnswered)
            assert not far.happenings
            assert party.leg.trunk == ""


async def test_forwarding_of_a_device_goes_by_the_rules_of_the_settings():
    asked: list[tuple[str, str]] = []

    def forward(extension: str, caller: str) -> Forwarded:
        asked.append((extension, caller))
        if extension == "0900":
            raise DialError(403, "the rules refuse it")
        return Forwarded("+49" + extension, "t", "+4930999")

    async with phone() as far, phone() as device:
        trunk = Trunk("t", (f"{HOST}:{far.port}",))
        async with rig(settings(trunks=(trunk,), users=(ALICE,))) as here:
            here.endpoints.forward_by(forward)
            await registered(here, device)
            party = here.dial("alice", caller="100")
            here_at = f"{HOST}:{here.port}"
            targets = (f"sip:0900@{here_at}", f"sip:30123@{here_at}")
            device.redirect((await device.until(hp.Invited)).session, *targets)
            invited = await far.until(hp.Invited)
            assert invited.request.uri.user == "+4930123"
            assert invited.request.from_address.uri.user == "+4930999"
            assert asked == [("0900", "100"), ("30123", "100")]
            far.do("answer", invited.session, sdp())
            assert (await party.until(LegAnswered)).trunk == "t"


async def test_forwarding_of_one_device_leaves_the_other_ringing():
    async with rig(settings(users=(ALICE,))) as here, phone() as one, phone() as two, phone() as away:
        await registered(here, one, two)
        party = here.dial("alice")
        rung = await two.until(hp.Invited)
        one.redirect((await one.until(hp.Invited)).session, at(away))
        invited = await away.until(hp.Invited)
        two.do("answer", rung.session, sdp())
        await party.until(LegAnswered)
        await away.until(hp.Cancelled)
        assert invited.offer


async def test_early_media_are_not_redirected():
    async with rig() as here, phone() as one, phone() as two:
        party = here.dial(at(one))
        invited = await one.until(hp.Invited)
        one.do("ring", invited.session, code=183, sdp=sdp())
        await party.until(LegRinging)
        one.redirect(invited.session, at(two))
        assert (await party.until(LegRejected)).redirect_to == (at(two),)
        assert not two.happenings


@pytest.mark.parametrize(
    "name", ["P-Asserted-Identity", "p-asserted-identity", "Remote-Party-ID", "Diversion"]
)
async def test_identity_is_the_switch_s_and_a_client_s_header_is_refused(name):
    async with phone() as far:
        trunk = Trunk("t", (f"{HOST}:{far.port}",), username="account", caller_ids=("+4930",))
        async with rig(settings(trunks=(trunk,))) as here:
            party = here.dial("123", caller="+4930", sip=SipOption(headers={name: "<sip:boss@bank.example>"}))
            rejected = await party.until(LegRejected)
            assert (rejected.code, name in rejected.reason) == (400, True)
            here.dial("123", caller="+4930")
            invited = await far.until(hp.Invited)
            assert invited.request.headers.getlist("P-Asserted-Identity") == [f"<sip:+4930@{HOST}>"]


async def test_uri_of_a_callee_carries_no_headers_of_its_own():
    async with rig() as here, phone() as far:
        here.dial(f"sip:bob@{HOST}:{far.port}?P-Asserted-Identity=%3Csip:boss@bank%3E")
        invited = await far.until(hp.Invited)
        assert "boss" not in str(invited.request)
