"""The driver of the user agent: names in messages, faults, the wait for the end."""

import asyncio

import pytest

from softswitch.call.vocabulary.reports import LegAnswered, LegEnded
from softswitch.sip import events as hp
from tests.legs.sip.phone import HOST, phone
from tests.legs.sip.rig import rig


async def test_peer_that_names_itself_by_name_is_found():
    async with rig() as here, phone() as caller:
        caller.invite(here.port, contact=f"sip:phone@localhost:{caller.port}")
        await caller.until(hp.Answered)
        party = await here.called()
        party.leg.hangup()
        assert (await caller.until(hp.Ended)).reason == "bye"


async def test_peer_whose_name_leads_nowhere_is_given_up():
    async with rig() as here, phone() as caller:
        caller.invite(here.port, contact="sip:phone@unknown.invalid:5999")
        await caller.until(hp.Answered)
        party = await here.called()
        party.leg.hangup()
        await party.leg.closed()
        async with asyncio.timeout(60):
            while here.endpoints.gauges()["sessions"]:
                await asyncio.sleep(0.01)


async def test_report_that_breaks_ends_its_own_call_alone():
    async with rig() as here, phone() as one, phone() as other:
        one.invite(here.port)
        await one.until(hp.Answered)
        party = await here.called()
        await party.until(LegAnswered)

        def broken(report: object) -> None:
            raise RuntimeError("a defect")

        other.invite(here.port)
        await other.until(hp.Answered)
        second = await here.called()
        await second.until(LegAnswered)
        party.on_report = broken
        one.do("message", party_session(one), "x", "text/plain")
        async with asyncio.timeout(60):
            while not here.endpoints.driver.failures:
                await asyncio.sleep(0.01)
        other.do("message", party_session(other), "x", "text/plain")
        other.do("bye", party_session(other))
        assert (await second.until(LegEnded)).reason == "caller"


def party_session(far) -> str:
    """Return the session of a telephone's one call."""
    (answered,) = [one for one in far.happenings if isinstance(one, hp.Answered)]
    return str(answered.session)


@pytest.mark.parametrize(("done", "waits"), [(True, False), (False, True)])
async def test_waiting_ends_with_what_was_waited_for_or_the_time(done, waits):
    async with rig() as here:
        begin = asyncio.get_running_loop().time()
        await here.endpoints.driver.until(lambda: done, 0.1)
        assert (asyncio.get_running_loop().time() - begin >= 0.09) == waits


async def test_datagram_of_nonsense_is_counted_and_changes_nothing():
    async with rig() as here, phone() as far:
        for data in (b"nonsense", b"\xff" * 1000, b"INVITE", b"SIP/2.0 200 OK\r\n\r\n"):
            far.transports.send(data, far.flow(here.port), lambda: None)
        async with asyncio.timeout(60):
            while here.endpoints.counters.messages_malformed < 4:
                await asyncio.sleep(0.01)
        far.invite(here.port, from_=f"<sip:a@{HOST}>")
        await far.until(hp.Answered)
        assert here.endpoints.driver.failures == 0
