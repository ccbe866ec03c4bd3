"""pyVoIP against the scenarios of SIPp, those that our own stack is tried with."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from softswitch.call.interfaces import IncomingCall
from softswitch.call.vocabulary.reports import (
    DigitReceived,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegRejected,
    LegRinging,
)
from softswitch.settings import Sip, Trunk
from tests.clients.sipp_runner import HOST, Sipp, capture, digit_packets, play, scenario, sipp, tone_packets
from tests.clients.telephony import hears
from tests.legs.pyvoip.rig import Bench, Leg

pytestmark = pytest.mark.client

CHECKS = {
    "401": '<verifyauth assign_to="proved" username="alice" password="secret"/>',
    "407": (
        '<ereg regexp="Digest .*nc=.*response=.[0-9a-f]{32}" search_in="hdr" header="Proxy-Authorization:" '
        'check_it="true" assign_to="proved"/>'
    ),
}


@asynccontextmanager
async def reached(
    folder: Path, text: str, *options: str, register: bool = False
) -> AsyncIterator[tuple[Sipp, Bench]]:
    """Run SIPp as the server of a trunk, and a telephone of pyVoIP that has this trunk."""
    async with sipp(folder, text, None, *options) as far:
        trunk = Trunk(
            name="t",
            servers=(f"{HOST}:{far.port}",),
            username="alice",
            password="secret",
            register=register,
            engine="pyvoip",
        )
        async with Bench(trunk, sip=Sip(port=0)) as bench:
            yield far, bench


# --- they call us -------------------------------------------------------------------------


async def test_packets_of_30_ms_are_understood_and_the_caller_hangs_up(tmp_path: Path) -> None:
    sound = capture(tmp_path / "tone.pcap", tone_packets(440, 1.0, 30))
    text = scenario("caller", PLAY=play(sound), STAY="1500")
    async with Bench() as bench, sipp(tmp_path / "a", text, bench.endpoints.own_port) as caller:
        _, leg = await bench.called()
        leg.endpoint.answer()
        await leg.until(LegAnswered)
        leg.listen()
        await caller.good()
        ended = await leg.until(LegEnded)
        assert (ended.reason, ended.headers) == ("caller", {"Reason": 'Q.850;cause=16;text="enough"'})
        await leg.endpoint.closed()
    hears(leg.sound(), 8000, 440)


async def test_digits_are_told_once_each(tmp_path: Path) -> None:
    keys = capture(tmp_path / "keys.pcap", digit_packets("159#"))
    text = scenario("caller", PLAY=play(keys), STAY="1500")
    async with Bench() as bench, sipp(tmp_path / "a", text, bench.endpoints.own_port) as caller:
        _, leg = await bench.called()
        leg.endpoint.answer()
        await caller.good()
        await leg.until(LegEnded)
        told = leg.told(DigitReceived)
    assert [one.digit for one in told] == list("159#")
    assert {one.duration_ms for one in told} == {100}


async def test_caller_who_gives_up_gets_his_487(tmp_path: Path) -> None:
    text = scenario("caller_gives_up")
    async with Bench() as bench, sipp(tmp_path / "a", text, bench.endpoints.own_port) as caller:
        _, leg = await bench.called()
        leg.endpoint.ring()
        await caller.good()
        assert (await leg.until(LegEnded)).reason == "caller"


async def test_hold_is_answered_right_and_told(tmp_path: Path) -> None:
    sound = capture(tmp_path / "tone.pcap", tone_packets(440, 1.0, 20))
    text = scenario("caller_holds", PLAY=play(sound), STAY="1500")
    async with Bench() as bench, sipp(tmp_path / "a", text, bench.endpoints.own_port) as caller:
        _, leg = await bench.called()
        leg.endpoint.answer()
        await leg.until(LegAnswered)
        leg.listen()
        await caller.good()
        await leg.until(LegEnded)
        assert [held.held for held in leg.told(LegHeld)] == [True, False]
    hears(leg.sound(), 8000, 440)


async def test_thirty_calls_at_once_are_carried_and_forty_come_and_go(tmp_path: Path) -> None:
    legs: list[Leg] = []

    def take(call: IncomingCall) -> None:
        leg = Leg(bench)
        call.party(leg.request(), leg.report).answer()
        leg.echo()
        legs.append(leg)

    sound = capture(tmp_path / "tone.pcap", tone_packets(440, 1.0, 20))
    text = scenario("caller", PLAY=play(sound), STAY="2000")
    bench = Bench(on_incoming=take)
    options = ("-m", "40", "-r", "20", "-l", "30")
    async with bench, sipp(tmp_path / "a", text, bench.endpoints.own_port, *options) as caller:
        await bench.until(lambda: bench.endpoints.limits.total == 30)
        await caller.good()
        await bench.until(lambda: bench.endpoints.limits.total == 0)
        await bench.until(lambda: all(leg.told(LegEnded) for leg in legs))
        assert len(legs) == 40
        numbers = bench.endpoints.numbers()
        assert (numbers["calls_received"], numbers["calls_refused"]) == (40, 0)


# --- we call them -------------------------------------------------------------------------


@pytest.mark.parametrize("code", CHECKS)
async def test_trunk_that_asks_gets_our_proof(tmp_path: Path, code: str) -> None:
    asks = {"401": "WWW-Authenticate", "407": "Proxy-Authenticate"}[code]
    text = scenario("callee_asks", CODE=code, ASKS=asks, CHECK=CHECKS[code])
    async with reached(tmp_path / "a", text) as (callee, bench):
        leg = bench.call("123", trunk="t")
        await leg.until(LegAnswered)
        leg.endpoint.hangup()
        await callee.good()


async def test_trunk_is_called_with_digits_and_we_hang_up(tmp_path: Path) -> None:
    async with reached(tmp_path / "a", scenario("callee"), "-rtp_echo") as (callee, bench):
        leg = bench.call("+49 30 123", caller="4711")
        await leg.until(LegRinging)
        assert (await leg.until(LegAnswered)).codec == "pcma"
        leg.endpoint.dtmf("42*")
        for number, digit in enumerate("42*"):
            # SIPp sends back what it hears.
            assert (await leg.until(DigitReceived, after=number)).digit == digit
        leg.endpoint.hangup(headers={"Reason": "Q.850;cause=16"})
        await callee.good()
    told = (callee.folder / "messages.log").read_text()
    assert re.search(r"INVITE sip:\+4930123@", told)
    assert f"From: <sip:4711@{HOST}>" in told
    assert f"P-Asserted-Identity: <sip:4711@{HOST}>" in told
    assert "Reason: Q.850;cause=16" in told


@pytest.mark.parametrize("code", ["302", "486", "503", "603"])
async def test_refusal_is_told_with_its_code(tmp_path: Path, code: str) -> None:
    async with reached(tmp_path / "a", scenario("callee_refuses", CODE=code)) as (callee, bench):
        leg = bench.call("123")
        assert (await leg.until(LegRejected)).code == int(code)
        await callee.good()


async def test_call_that_only_rings_is_cancelled(tmp_path: Path) -> None:
    async with reached(tmp_path / "a", scenario("callee_rings")) as (callee, bench):
        leg = bench.call("123")
        await leg.until(LegRinging)
        leg.endpoint.hangup()
        await callee.good()


async def test_early_media_are_told(tmp_path: Path) -> None:
    async with reached(tmp_path / "a", scenario("callee_early"), "-rtp_echo") as (callee, bench):
        leg = bench.call("123")
        assert (await leg.until(LegRinging)).early_media
        await leg.until(LegAnswered)
        leg.endpoint.hangup()
        await callee.good()


async def test_trunk_is_registered_with_digest_and_taken_back(tmp_path: Path) -> None:
    text = scenario("registrar", USER="alice", PASSWORD="secret")
    async with reached(tmp_path / "a", text, register=True) as (registrar, bench):
        await bench.until(lambda: bench.endpoints.trunks()[0].state == "registered")
        assert bench.endpoints.trunks()[0].expires_s == 90
        await bench.endpoints.drain()
        await registrar.good()
        await asyncio.sleep(0.1)
        assert bench.endpoints.trunks()[0].state == "unregistered"
