"""TURN servers far away: answers at once, candidates that come late, and relays that are given back."""

import asyncio
import logging

import pytest

from softswitch.call.vocabulary.reports import LegAnswered, LegTrickled, LegWarned
from softswitch.legs.webrtc.aiortc_private import connection
from softswitch.sdp import candidate_line
from tests.legs.webrtc.rtc import bench
from tests.legs.webrtc.turn_server import settings_of, turn_server
from tests.sdp import offers


@pytest.mark.each_loop
async def test_trickling_client_is_answered_before_the_server_and_gets_the_relay_afterwards():
    async with turn_server(0.2) as server, bench(settings_of(server)) as place:
        leg = place.leg(offers.CHROME, trickle=True)
        leg.answer()
        answer = await place.report(LegAnswered)
        assert server.granted == 0
        assert "typ host" in answer.sdp
        assert "typ relay" not in answer.sdp
        assert "end-of-candidates" not in answer.sdp
        trickled = await place.report(LegTrickled)
        [relay] = trickled.candidates
        line = candidate_line(relay.text)
        assert (line.kind, line.address) == ("relay", "192.0.2.9")
        assert f"a=ice-ufrag:{line.ufrag}\r\n" in answer.sdp
        assert relay.mid == "0"
        last = await place.report(LegTrickled, 2)
        assert [item.text for item in last.candidates] == [""]
        leg.hangup()
        await leg.closed()
        await server.settled(1)


@pytest.mark.each_loop
async def test_answer_without_trickle_waits_for_the_server():
    async with turn_server(0.2) as server, bench(settings_of(server, gather_s=10.0)) as place:
        leg, answer = await place.answered(offers.CHROME)
        assert "typ relay" in answer.sdp
        assert "end-of-candidates" in answer.sdp
        leg.hangup()
        await leg.closed()
        assert not server.held
        assert not place.of(LegTrickled)


@pytest.mark.each_loop
async def test_relay_that_comes_after_the_answer_is_used_and_given_back_at_the_end():
    async with turn_server(0.2) as server, bench(settings_of(server, gather_s=0.01)) as place:
        leg, answer = await place.answered(offers.CHROME)
        assert "typ relay" not in answer.sdp
        await asyncio.wait_for(granted(server), 10)
        leg.hangup()
        await leg.closed()
        await server.settled(1)


@pytest.mark.each_loop
@pytest.mark.parametrize("trickle", [True, False])
async def test_relay_that_is_granted_after_the_end_of_the_leg_is_given_back(trickle):
    async with turn_server(0.3) as server, bench(settings_of(server, gather_s=0.05)) as place:
        leg = place.leg(offers.CHROME, trickle=trickle)
        leg.answer()
        await place.report(LegAnswered)
        leg.hangup()
        await leg.closed()
        await server.settled(1)


async def test_relay_that_is_granted_while_gathering_is_cancelled_is_given_back():
    async with turn_server(0.2) as server, bench(settings_of(server, gather_s=10.0)) as place:
        leg = place.leg(offers.CHROME)
        leg.answer()
        await asyncio.wait_for(asked(server), 10)
        leg.hangup()
        await leg.closed()
        await server.settled(1)


@pytest.mark.parametrize("trickle", [True, False])
async def test_refused_credentials_are_reported_to_the_application_and_logged(trickle, caplog):
    caplog.set_level(logging.WARNING)
    async with turn_server() as server, bench(settings_of(server, password="wrong")) as place:
        leg = place.leg(offers.CHROME, trickle=trickle)
        leg.answer()
        warned = await place.report(LegWarned)
        assert (warned.sender, warned.code) == ("media", 502)
        assert f"127.0.0.1:{server.port} refuses the credentials (401 Unauthorized)" in warned.error
        assert any("refuses the credentials" in record.reason for record in caplog.records)


async def test_silent_server_is_reported_before_its_last_retransmission(monkeypatch):
    monkeypatch.setattr(connection, "SILENT_S", 0.05)
    monkeypatch.setattr(connection, "GRANT_S", 0.1)
    async with turn_server(1000.0) as server, bench(settings_of(server)) as place:
        leg = place.leg(offers.CHROME, trickle=True)
        leg.answer()
        warned = await place.report(LegWarned)
        assert "does not respond" in warned.error
        leg.hangup()
        await leg.closed()


async def granted(server):
    """Wait until the server has granted an allocation."""
    while not server.granted:
        server.changed.clear()
        await server.changed.wait()


async def asked(server):
    """Wait until a request has reached the server."""
    while not server.requests:
        server.changed.clear()
        await server.changed.wait()
