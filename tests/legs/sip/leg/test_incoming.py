"""Incoming calls, from a phone without audio."""

import asyncio

import pytest

from softswitch.call.interfaces import IncomingCall, Telephone
from softswitch.call.vocabulary.reports import LegAnswered, LegEnded, LegFailed
from softswitch.legs.sip.addressing.resolve import UnresolvedError
from softswitch.sip import events as hp
from tests.legs.sip.phone import phone, sdp
from tests.legs.sip.rig import rig, settings
from tests.support.waiting import until


async def test_call_is_announced_with_all_that_is_known_of_it():
    calls: list[IncomingCall] = []
    async with rig() as here, phone() as caller:
        here.on_call = calls.append
        session = caller.invite(here.port, "600", headers={"X-Note": "hello"}, call_id="abc@host")
        await until(lambda: calls)
        (call,) = calls
        assert (call.id, call.caller, call.callee) == ("abc@host", "phone", "600")
        assert call.headers["X-Note"] == "hello"
        assert call.sdp.startswith("v=0")
        assert (call.source, call.name, call.address) == ("anonymous", "", "127.0.0.1")
        call.reject(404, "Gone Fishing")
        rejected = await caller.until(hp.Rejected)
        assert (rejected.session, rejected.code, rejected.reason) == (session, 404, "Gone Fishing")


@pytest.mark.parametrize("call_id", ["what?", "<weird>", "x" * 200])
async def test_call_id_that_could_be_no_id_of_a_call_is_replaced(call_id):
    async with rig() as here, phone() as caller:
        caller.invite(here.port, call_id=call_id)
        party = await here.called()
        assert party.incoming is not None
        assert len(party.incoming.id) == 36


async def test_leg_rings_speaks_early_and_answers_with_the_same_description():
    async with rig() as here, phone() as caller:
        here.on_call = lambda call: here.take(call).leg.ring()
        caller.invite(here.port)
        party = await here.called()
        first = await caller.until(hp.Progressed)
        assert (first.code, first.sdp) == (180, None)
        party.leg.ring(early_media=True)
        early = await caller.until(hp.Progressed, 2)
        assert early.code == 183
        assert early.sdp
        party.leg.answer()
        answered = await caller.until(hp.Answered)
        assert answered.sdp in (None, early.sdp)
        told = await party.until(LegAnswered)
        assert (told.codec, told.sdp) == ("pcma", early.sdp)


async def test_party_is_the_same_when_it_is_asked_for_again():
    async with rig() as here, phone() as caller:
        here.on_call = lambda call: here.take(call).leg.ring()
        caller.invite(here.port)
        party = await here.called()
        assert isinstance(party.leg, Telephone)
        again = here.party(party.incoming)
        assert party.incoming is not None
        request = again.request(codec="pcma")
        assert party.incoming.party(request, again.report) is party.leg
        party.leg.answer()
        await again.until(LegAnswered)
        assert not party.of(LegAnswered)
        party.incoming.reject(486, "too late")
        assert not again.of(LegEnded)


async def test_rejected_leg_refuses_the_caller_only():
    async with rig() as here, phone() as caller:
        here.on_call = lambda call: here.take(call).leg.reject(486, "Busy Here")
        caller.invite(here.port)
        party = await here.called()
        assert (await caller.until(hp.Rejected)).code == 486
        assert party.reports == []
        assert here.endpoints.legs == 0


async def test_caller_who_gave_up_before_anybody_asked_for_the_leg_is_told_of():
    calls: list[IncomingCall] = []
    async with rig() as here, phone() as caller:
        here.on_call = calls.append
        session = caller.invite(here.port)
        await until(lambda: calls)
        caller.do("bye", session)
        assert (await caller.until(hp.Rejected)).code == 487
        party = here.party(calls[0])
        calls[0].party(party.request(), party.report)
        assert (await party.until(LegEnded)).reason == "caller"
        assert here.endpoints.legs == 0


@pytest.mark.each_loop
async def test_callers_whose_ports_close_before_the_answer_block_no_other_call():
    async with rig() as here:
        for number in range(1, 4):
            async with phone() as gone:
                gone.invite(here.port)
                party = await here.called()
            # The answer, and each repetition of it, meets a closed port.
            party.leg.answer()
            async with asyncio.timeout(60):
                while here.endpoints.counters.icmp_unreachable < number:
                    await asyncio.sleep(0.01)
        async with phone() as caller:
            caller.invite(here.port)
            party = await here.called()
            party.leg.answer()
            await caller.until(hp.Answered)


async def test_offer_that_nothing_can_be_agreed_on_is_488():
    async with rig() as here, phone() as caller:
        caller.invite(here.port, offer=sdp().replace("PCMA/8000", "iLBC/8000").replace("AVP 8", "AVP 97"))
        party = await here.called()
        assert (await caller.until(hp.Rejected)).code == 488
        assert (await party.until(LegFailed)).code == 488


async def test_malformed_offer_is_400():
    async with rig() as here, phone() as caller:
        caller.invite(here.port, offer="this is no description\r\n")
        assert (await caller.until(hp.Rejected)).code in (400, 488)


async def test_caller_without_an_offer_gets_ours_and_answers_it_in_the_ack():
    async with rig() as here, phone() as caller:
        session = caller.invite(here.port, offer=None)
        answered = await caller.until(hp.Answered)
        assert answered.wants_answer
        assert answered.sdp is not None
        assert "m=audio" in answered.sdp
        party = await here.called()
        assert not party.of(LegAnswered)
        caller.do("accept_offer", session, sdp())
        assert (await party.until(LegAnswered)).codec == "pcma"


async def test_call_without_a_port_for_media_is_503_with_a_time():
    async with rig(settings(ports=(45000, 45001))) as here, phone() as one, phone() as other:
        one.invite(here.port)
        await one.until(hp.Answered)
        other.invite(here.port)
        rejected = await other.until(hp.Rejected)
        assert rejected.code == 503
        assert int({name.lower(): value for name, value in rejected.headers.items()}["retry-after"]) > 0


async def test_leg_that_is_hung_up_says_bye_with_its_headers():
    async with rig() as here, phone() as caller:
        caller.invite(here.port)
        await caller.until(hp.Answered)
        party = await here.called()
        party.leg.hangup("done", {"Reason": "Q.850;cause=16"})
        ended = await caller.until(hp.Ended)
        assert ended.reason == "bye"
        assert {name.lower(): value for name, value in ended.headers.items()}["reason"] == "Q.850;cause=16"
        party.leg.hangup()
        await party.leg.closed()
        assert here.endpoints.legs == 0


async def test_another_phone_takes_the_place_of_the_first():
    async with rig() as here, phone() as one, phone() as other:
        session = one.invite(here.port)
        await one.until(hp.Answered)
        party = await here.called()
        await party.until(LegAnswered)
        call_id, local, remote = party.leg.dialog
        assert one.agent.dialog(session) == (call_id, remote, local)
        other.invite(
            here.port, headers={"Replaces": f"{call_id};to-tag={local};from-tag={remote}"}, offer=sdp(41000)
        )
        await other.until(hp.Answered)
        assert (await one.until(hp.Ended)).reason == "bye"
        assert party.leg.dialog[0] != call_id
        assert not party.of(LegEnded)
        party.leg.hangup()
        await other.until(hp.Ended)


async def test_switch_that_goes_down_takes_no_new_calls_and_keeps_the_old_ones():
    async with rig() as here, phone() as one, phone() as other:
        one.invite(here.port)
        await one.until(hp.Answered)
        await here.endpoints.drain()
        other.invite(here.port)
        rejected = await other.until(hp.Rejected)
        assert rejected.code == 503
        assert "30" in rejected.headers.values()
        assert here.endpoints.legs == 1


async def test_calls_beyond_those_of_a_second_are_503():
    chosen = settings({"calls_per_second": 1})
    async with rig(chosen) as here, phone() as caller:
        for _ in range(3):
            caller.invite(here.port)
        codes = [(await caller.until(hp.Rejected, number)).code for number in (1, 2)]
        assert codes == [503, 503]
        assert here.endpoints.counters.overloaded == 2
        assert len(here.parties) == 1


async def test_fault_of_ours_ends_one_call_and_no_other():
    def broken(call: IncomingCall) -> None:
        raise RuntimeError("a defect")

    async with rig() as here, phone() as caller:
        here.on_call = broken
        caller.invite(here.port)
        await caller.until(hp.Rejected)
        assert here.endpoints.driver.failures == 1
        here.on_call = here.answer
        caller.invite(here.port)
        await caller.until(hp.Answered)


class Names:
    """A resolver that knows one name; a look-up of any other takes the whole deadline."""

    def __init__(self, deadline_s: float = 0.2) -> None:
        self.deadline_s = deadline_s

    async def __call__(self, host: str, asker: object) -> tuple[str, ...]:
        del asker
        if host != "media.example":
            await asyncio.sleep(self.deadline_s)
            raise UnresolvedError(f"{host}: DNS gives no answer within {self.deadline_s:g} s")
        return ("127.0.0.1",)


@pytest.mark.each_loop
async def test_host_name_in_the_c_line_is_resolved_within_the_deadline():
    async with rig(resolve=Names()) as here, phone() as caller, phone() as far:
        caller.invite(here.port, offer=sdp().replace("c=IN IP4 127.0.0.1", "c=IN IP4 media.example"))
        await caller.until(hp.Answered)
        party = here.dial(f"sip:bob@127.0.0.1:{far.port}")
        named = sdp().replace("c=IN IP4 127.0.0.1", "c=IN IP4 media.example")
        far.do("answer", (await far.until(hp.Invited)).session, named)
        await party.until(LegAnswered)
        caller.invite(here.port, offer=sdp().replace("c=IN IP4 127.0.0.1", "c=IN IP4 gone.example"))
        assert (await caller.until(hp.Rejected)).code == 488
