"""Supervision and queues with baresip: three telephones of which one whispers, and one that waits."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.clients.telephony import Telephony, hears, loudest, voice
from tests.support.baresip import RATES, Baresip
from tests.support.sound import Pcm, share

pytestmark = pytest.mark.client

SETTINGS = """
[[user]]
name = "alice"
password = "secret"

[[user]]
name = "bob"
password = "secret"

[[user]]
name = "carol"
password = "secret"

[[queue]]
name = "sales"
users = ["bob"]
position = ""

[[route]]
match = "600"
to = "queue:sales"
"""
RATE = RATES["g711"]
PITCHES = {"alice": 440.0, "bob": 1000.0, "carol": 620.0}


def phone(switch: Telephony, folder: Path, name: str) -> Baresip:
    account = f"<sip:{name}@127.0.0.1:{switch.sip_port};transport=udp>;auth_pass=secret;regint=60"
    return Baresip(folder / name, account, voice(PITCHES[name], RATE))


async def test_supervisor_calls_by_telephone_and_whispers(tmp_path: Path) -> None:
    with Telephony(tmp_path / "data", SETTINGS) as switch:
        async with (
            phone(switch, tmp_path, "alice") as alice,
            phone(switch, tmp_path, "bob") as bob,
            phone(switch, tmp_path, "carol") as carol,
        ):
            for one in (alice, bob, carol):
                await one.registered()
            alice.command("dial", f"sip:600@127.0.0.1:{switch.sip_port}")
            await bob.until("CALL_ESTABLISHED")
            shown = await switch.until(
                "/supervise", lambda found: [call for call in found["calls"] if call["callee"] == "600"]
            )
            (call,) = [call["id"] for call in shown["calls"] if call["callee"] == "600"]
            async with (
                aiohttp.ClientSession() as http,
                http.post(
                    switch.url(f"/supervise/{call}"), json={"callee": "carol", "mode": "whisper"}
                ) as answer,
            ):
                assert answer.status == 200
            await carol.until("CALL_ESTABLISHED")
            await switch.until("/supervise", lambda found: any(one["supervisors"] for one in found["calls"]))
            await asyncio.sleep(3)
            queues = await switch.until("/queues", lambda found: found["queues"][0]["answered"])
            assert queues["queues"][0]["waiting"] == 0
            alice.command("hangup")
            for one in (bob, carol):
                await one.until("CALL_CLOSED")
            await switch.no_calls()
        assert switch.tracebacks() == []
    # The caller hears the agent alone, the agent both others, and the supervisor both parties.
    hears(alice.heard()[-2 * RATE :], RATE, PITCHES["bob"], but_not=(PITCHES["carol"],))
    for listener, pitches in ((bob, ("alice", "carol")), (carol, ("alice", "bob"))):
        shares = [power(listener.heard()[-2 * RATE :], PITCHES[name]) for name in pitches]
        assert min(shares) > 0.25, (listener, shares)


def power(sound: Pcm, hz: float) -> float:
    """Return the part of the power at a pitch in the loudest second."""
    return share(loudest(sound, RATE), hz, RATE)
