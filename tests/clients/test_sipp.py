"""SIPp against real endpoints and a real engine: both directions, as its scenarios say."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from softswitch.call.interfaces import IncomingCall
from softswitch.call.vocabulary.reports import LegAnswered, LegEnded, LegHeld, LegRejected, LegRinging
from softswitch.settings import Trunk, User
from tests.clients.sipp_runner import (
    FOLDER,
    HOST,
    Sipp,
    capture,
    digit_packets,
    play,
    scenario,
    sipp,
    tone_packets,
)
from tests.clients.telephony import hears
from tests.legs.sip.rig import Rig, rig, settings

pytestmark = pytest.mark.client

VERIFY = '<verifyauth assign_to="proved" username="alice" password="secret"/>'
VERIFY_PROXY = (
    '<ereg regexp="Digest .*nc=.*response=.[0-9a-f]{32}" search_in="hdr" header="Proxy-Authorization:" '
    'check_it="true" assign_to="proved"/>'
)
ALICE = User(name="alice", password="secret")


@asynccontextmanager
async def reached(folder: Path, text: str, *options: str, **fields: Any) -> AsyncIterator[tuple[Sipp, Rig]]:
    """Run SIPp as the server of a trunk, and endpoints that have this trunk."""
    transport = ";transport=tcp" if "t1" in options else ""
    async with sipp(folder, text, None, *options) as callee:
        server = (f"{HOST}:{callee.port}{transport}",)
        trunk = Trunk(name="t", servers=server, username="alice", password="secret", **fields)
        async with rig(settings(trunks=(trunk,))) as here:
            yield callee, here


# --- they call us -------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["u1", "t1"])
async def test_caller_is_answered_and_hangs_up(tmp_path, transport):
    async with rig() as here, sipp(tmp_path / "a", scenario("caller"), here.port, "-t", transport) as caller:
        party = await here.called()
        await caller.good()
        ended = await party.until(LegEnded)
        assert (ended.reason, ended.initiator) == ("caller", "caller")
        assert ended.headers == {"Reason": 'Q.850;cause=16;text="enough"'}
        assert party.incoming is not None
        assert (party.incoming.caller, party.incoming.callee) == ("caller", "echo")
        assert party.incoming.source == "anonymous"


async def test_caller_with_packets_of_30_ms_is_understood(tmp_path):
    sound = capture(tmp_path / "tone.pcap", tone_packets(440, 1.0, 30))
    text = scenario("caller", PLAY=play(sound), STAY="1500")
    async with rig() as here, sipp(tmp_path / "a", text, here.port) as caller:
        party = await here.called()
        await party.until(LegAnswered)
        party.listen()
        await caller.good()
    hears(party.sound, 8000, 440)


async def test_digits_are_heard_once_each(tmp_path):
    keys = capture(tmp_path / "keys.pcap", digit_packets("159#"))
    text = scenario("caller", PLAY=play(keys), STAY="1500")
    async with rig() as here, sipp(tmp_path / "a", text, here.port) as caller:
        party = await here.called()
        await caller.good()
        await party.until_digits("159#")


async def test_caller_gives_up_while_it_rings(tmp_path):
    async with rig() as here:

        def ring(call: IncomingCall) -> None:
            here.take(call).leg.ring()

        here.on_call = ring
        async with sipp(tmp_path / "a", scenario("caller_gives_up"), here.port) as caller:
            party = await here.called()
            await caller.good()
            assert (await party.until(LegEnded)).reason == "caller"
            assert here.endpoints.legs == 0


async def test_hold_is_answered_right_and_told(tmp_path):
    sound = capture(tmp_path / "tone.pcap", tone_packets(440, 1.0, 20))
    text = scenario("caller_holds", PLAY=play(sound), STAY="1500")
    async with rig() as here, sipp(tmp_path / "a", text, here.port) as caller:
        party = await here.called()
        await party.until(LegAnswered)
        party.listen()
        await caller.good()
        await party.until(LegEnded)
        assert [held.held for held in party.of(LegHeld)] == [True, False]
    hears(party.sound, 8000, 440)


async def test_stranger_is_asked_who_he_is_and_a_user_is_let_in(tmp_path):
    text = scenario("caller_proof", USER="alice", PASSWORD="secret", EXPECT="200")
    async with rig(settings(users=(ALICE,))) as here, sipp(tmp_path / "a", text, here.port) as caller:
        party = await here.called()
        await caller.good()
        assert party.incoming is not None
        assert (party.incoming.source, party.incoming.name, party.incoming.caller) == (
            "user",
            "alice",
            "alice",
        )
        assert "Authorization" not in party.incoming.headers


async def test_phone_registers_and_is_called(tmp_path):
    text = scenario("register", USER="alice", PASSWORD="secret", EXPECT="200")
    async with rig(settings(users=(ALICE,))) as here:
        async with sipp(tmp_path / "a", text, here.port, user="alice") as phone:
            await phone.good()
            port = phone.port
        (user,) = here.endpoints.users()
        assert user.registered
        assert user.contacts[0].address == f"{HOST}:{port}"
        async with sipp(tmp_path / "b", scenario("callee"), None, "-rtp_echo", port=port) as callee:
            party = here.dial("alice")
            await party.until(LegAnswered)
            party.leg.hangup()
            await callee.good()


async def test_wrong_password_is_asked_again(tmp_path):
    text = scenario("register", USER="alice", PASSWORD="guess", EXPECT="401")
    async with (
        rig(settings(users=(ALICE,))) as here,
        sipp(tmp_path / "a", text, here.port, user="alice") as phone,
    ):
        await phone.good()
        assert not here.endpoints.users()[0].registered
        assert here.endpoints.counters.logins_failed == 1


async def test_hundred_calls_at_once_are_all_good(tmp_path):
    options = ("-m", "100", "-r", "100", "-l", "100")
    async with rig() as here, sipp(tmp_path / "a", scenario("caller"), here.port, *options) as caller:
        await caller.good()
        async with asyncio.timeout(60):
            while here.endpoints.legs:
                await asyncio.sleep(0.02)
        assert here.endpoints.counters.calls_received == 100
        assert all(party.of(LegAnswered) and party.of(LegEnded) for party in here.parties)
        assert here.endpoints.gauges()["sessions"] == 0


# --- we call them -------------------------------------------------------------------------


async def test_trunk_is_called_and_we_hang_up(tmp_path):
    async with reached(tmp_path / "a", scenario("callee"), "-rtp_echo") as (callee, here):
        party = here.dial("+49 30 123", caller="4711")
        answered = await party.until(LegAnswered)
        assert (answered.codec, answered.ptime_ms) == ("pcma", 20)
        assert [ringing.early_media for ringing in party.of(LegRinging)] == [False]
        party.leg.hangup(headers={"Reason": "Q.850;cause=16"})
        await callee.good()
    told = (callee.folder / "messages.log").read_text()
    assert "INVITE sip:+4930123@" in told
    assert f"From: <sip:4711@{HOST}>" in told
    assert f"P-Asserted-Identity: <sip:4711@{HOST}>" in told
    assert "Reason: Q.850;cause=16" in told


async def test_digits_of_ours_are_sent_as_events(tmp_path):
    async with reached(tmp_path / "a", scenario("callee"), "-rtp_echo") as (callee, here):
        here.echo = False
        party = here.dial("123")
        await party.until(LegAnswered)
        party.leg.dtmf("42*")
        await party.until_digits("42*")  # SIPp sends back what it hears
        party.leg.hangup()
        await callee.good()


@pytest.mark.parametrize(("code", "asks"), [("401", "WWW-Authenticate"), ("407", "Proxy-Authenticate")])
async def test_trunk_that_asks_gets_our_proof(tmp_path, code, asks):
    check = VERIFY if code == "401" else VERIFY_PROXY
    text = scenario("callee_asks", CODE=code, ASKS=asks, CHECK=check)
    async with reached(tmp_path / "a", text) as (callee, here):
        party = here.dial("123")
        await party.until(LegAnswered)
        party.leg.hangup()
        await callee.good()


@pytest.mark.parametrize("code", ["302", "486", "503", "603"])
async def test_refusal_is_told_with_its_code(tmp_path, code):
    async with reached(tmp_path / "a", scenario("callee_refuses", CODE=code)) as (callee, here):
        party = here.dial("123")
        assert (await party.until(LegRejected)).code == int(code)
        await callee.good()


async def test_call_that_only_rings_is_cancelled(tmp_path):
    async with reached(tmp_path / "a", scenario("callee_rings")) as (callee, here):
        party = here.dial("123")
        await party.until(LegRinging)
        party.leg.hangup()
        await callee.good()


async def test_call_that_nobody_takes_in_time_is_given_up(tmp_path):
    async with reached(tmp_path / "a", scenario("callee_rings")) as (callee, here):
        party = here.dial("123", ring_s=0.5)
        assert (await party.until(LegRejected)).code == 408
        await callee.good()


async def test_early_media_are_told(tmp_path):
    async with reached(tmp_path / "a", scenario("callee_early"), "-rtp_echo") as (callee, here):
        party = here.dial("123")
        assert (await party.until(LegRinging)).early_media
        await party.until(LegAnswered)
        party.leg.hangup()
        await callee.good()


async def test_trunk_over_tcp_is_called(tmp_path):
    async with reached(tmp_path / "a", scenario("callee"), "-t", "t1", "-rtp_echo") as (callee, here):
        party = here.dial("123")
        await party.until(LegAnswered)
        party.leg.hangup()
        await callee.good()


async def test_trunk_is_registered_and_taken_back(tmp_path):
    text = scenario("registrar", USER="alice", PASSWORD="secret")
    async with sipp(tmp_path / "a", text) as registrar:
        server = f"{HOST}:{registrar.port}"
        trunk = Trunk(name="t", servers=(server,), username="alice", password="secret", register=True)
        async with rig(settings(trunks=(trunk,))) as here:
            async with asyncio.timeout(60):
                while here.endpoints.trunks()[0].state != "registered":
                    await asyncio.sleep(0.02)
            assert here.endpoints.trunks()[0].expires_s == 90
        await registrar.good()
        assert here.endpoints.trunks()[0].state == "unregistered"


def test_scenarios_have_no_open_words():
    words = dict.fromkeys(("USER", "PASSWORD", "EXPECT", "CODE", "ASKS", "CHECK"), "x")
    for path in FOLDER.glob("*.xml"):
        assert not re.search(r"@\w+@", scenario(path.stem, **words)), path
