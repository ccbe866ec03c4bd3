"""pyVoIP with real peers: baresip, SIPp and kamailio on loopback, and a real engine behind it."""

import asyncio
from pathlib import Path

import pytest

from softswitch.call.vocabulary.reports import (
    DigitReceived,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegRejected,
    LegRinging,
)
from softswitch.settings import Sip, Trunk
from tests.clients.telephony import Telephony, hears, voice
from tests.legs.pyvoip.rig import Bench
from tests.support.baresip import Baresip
from tests.support.kamailio import Kamailio
from tests.support.sound import level, tone

pytestmark = pytest.mark.client


def neighbour(folder: Path, hz: float = 440, codecs: str = "PCMU/8000/1", answers: bool = True) -> Baresip:
    """Return a phone that registers nowhere."""
    account = f"<sip:alice@127.0.0.1>;regint=0;audio_codecs={codecs}"
    return Baresip(folder / "alice", account, voice(hz, 8000), answers=answers)


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
async def test_baresip_calls_and_both_hear_the_other(tmp_path: Path, codec: str) -> None:
    async with Bench() as bench, neighbour(tmp_path, 440, f"{codec}/8000/1") as alice:
        alice.command("dial", f"sip:echo@127.0.0.1:{bench.endpoints.own_port}")
        call, leg = await bench.called()
        assert (call.callee, call.caller, call.source) == ("echo", "alice", "anonymous")
        leg.endpoint.ring()
        await alice.until("CALL_RINGING")
        leg.endpoint.answer()
        answered = await leg.until(LegAnswered)
        assert (answered.codec, answered.sample_rate, answered.ptime_ms) == (codec.lower(), 8000, 20)
        await alice.until("CALL_ESTABLISHED")
        leg.listen()
        leg.say(tone(1000, 5, 8000))
        await asyncio.sleep(3)
        alice.command("hangup")
        ended = await leg.until(LegEnded)
        assert (ended.reason, ended.initiator) == ("caller", "caller")
        await leg.endpoint.closed()
    hears(leg.sound(), 8000, 440)
    hears(alice.heard(), 8000, 1000)


async def test_call_placed_to_baresip_is_heard_both_ways_with_keys_both_ways(tmp_path: Path) -> None:
    async with Bench() as bench, neighbour(tmp_path, 440) as alice:
        leg = bench.call(f"sip:alice@127.0.0.1:{alice.port}", caller="4930123")
        await leg.until(LegRinging)
        await leg.until(LegAnswered)
        leg.listen()
        leg.say(tone(1000, 8, 8000))
        await asyncio.sleep(2.5)
        alice.press("59#")
        for number, digit in enumerate("59#"):
            pressed = await leg.until(DigitReceived, after=number)
            assert (pressed.digit, pressed.method) == (digit, "rfc4733")
        leg.endpoint.dtmf("17*")
        await bench.until(lambda: len(pressed_by(alice)) == 3)
        assert pressed_by(alice) == ["1", "7", "*"]
        await leg.end()
        await alice.until("CALL_CLOSED")
        await bench.until(lambda: leg.closed)
    hears(leg.sound(), 8000, 440)
    hears(alice.heard(), 8000, 1000)


def pressed_by(phone: Baresip) -> list[object]:
    """Return the keys that a phone was told."""
    return [event["param"] for event in phone.events if event.get("type") == "CALL_DTMF_START"]


async def test_hold_of_baresip_is_told_and_answered_in_its_direction(tmp_path: Path) -> None:
    async with Bench() as bench, neighbour(tmp_path, 440) as alice:
        alice.command("dial", f"sip:echo@127.0.0.1:{bench.endpoints.own_port}")
        _, leg = await bench.called()
        leg.endpoint.answer()
        await alice.until("CALL_ESTABLISHED")
        leg.say(tone(1000, 9, 8000))
        await asyncio.sleep(1)
        alice.command("hold")
        assert (await leg.until(LegHeld)).held
        await asyncio.sleep(1)
        alice.command("resume")
        assert not (await leg.until(LegHeld, after=1)).held
        leg.listen()
        await asyncio.sleep(1.5)
        await leg.end()
        await alice.until("CALL_CLOSED")
    hears(leg.sound(), 8000, 440)
    hears(alice.heard(), 8000, 1000)


async def test_caller_who_gives_up_is_told_and_gets_his_487(tmp_path: Path) -> None:
    async with Bench() as bench, neighbour(tmp_path) as alice:
        alice.command("dial", f"sip:echo@127.0.0.1:{bench.endpoints.own_port}")
        _, leg = await bench.called()
        leg.endpoint.ring()
        await alice.until("CALL_RINGING")
        alice.command("hangup")
        assert (await leg.until(LegEnded)).reason == "caller"
        await bench.until(
            lambda: "487" in alice.log() or "CALL_CLOSED" in [e.get("type") for e in alice.events]
        )
        await leg.endpoint.closed()


async def test_refused_calls_say_why_both_ways(tmp_path: Path) -> None:
    async with Bench() as bench, neighbour(tmp_path, answers=False) as alice:
        alice.command("dial", f"sip:unknown@127.0.0.1:{bench.endpoints.own_port}")
        call = await bench.incoming.get()
        call.reject(404, "Not Here")
        closed = await alice.until("CALL_CLOSED")
        assert closed["param"] == "404 Not Here"
        leg = bench.call(f"sip:alice@127.0.0.1:{alice.port}")
        await leg.until(LegRinging)
        alice.command("hangup")
        assert (await leg.until(LegRejected)).code == 486
        await leg.endpoint.closed()


async def test_call_that_is_given_up_rings_no_longer(tmp_path: Path) -> None:
    async with Bench() as bench, neighbour(tmp_path, answers=False) as alice:
        leg = bench.call(f"sip:alice@127.0.0.1:{alice.port}")
        await leg.until(LegRinging)
        await leg.end()
        await alice.until("CALL_CLOSED")


def provider(kamailio: Kamailio, username: str = "office") -> Trunk:
    """Return the trunk of an account at kamailio."""
    return Trunk(
        name="provider",
        servers=(f"{kamailio.host}:{kamailio.port}",),
        username=username,
        password=Kamailio.password,
        from_domain=Kamailio.domain,
        register=True,
        engine="pyvoip",
    )


async def test_trunk_registers_at_kamailio_and_calls_go_both_ways(tmp_path: Path) -> None:
    with Kamailio(tmp_path / "kamailio") as kamailio:
        account = (
            f"<sip:alice@{kamailio.host}:{kamailio.port}>;auth_user=alice;auth_pass={Kamailio.password}"
            ";regint=60;audio_codecs=PCMA/8000/1"
        )
        async with (
            Bench(provider(kamailio), sip=Sip(port=0)) as bench,
            Baresip(tmp_path / "alice", account, voice(440, 8000)) as alice,
        ):
            await bench.until(lambda: bench.endpoints.trunks()[0].state == "registered")
            view = bench.endpoints.trunks()[0]
            assert (view.engine, view.code, view.expires_s) == ("pyvoip", 200, 60)
            await alice.registered()
            alice.command("dial", "office")
            call, leg = await bench.called()
            assert (call.source, call.name, call.callee) == ("trunk", "provider", "office")
            leg.endpoint.answer()
            await leg.until(LegAnswered)
            assert bench.endpoints.trunks()[0].calls == 1
            leg.listen()
            leg.say(tone(1000, 4, 8000))
            await asyncio.sleep(2.5)
            alice.command("hangup")
            await leg.until(LegEnded)
            await leg.endpoint.closed()
            hears(leg.sound(), 8000, 440)
            # kamailio asks for the password with 407, which pyVoIP has no answer to.
            second = bench.call("alice", trunk="provider")
            await second.until(LegAnswered)
            second.listen()
            second.say(tone(1000, 4, 8000))
            await asyncio.sleep(2.5)
            await second.end()
            await alice.until("CALL_CLOSED", after=len(alice.events) - 1)
            hears(second.sound(), 8000, 440)
        hears(alice.heard(), 8000, 1000)


LOCAL = """
engine = "pyvoip"

[[route]]
match = "600"
to = "echo"

[egress]
allow = ["127.0.0.0/8"]
"""


async def test_local_phone_of_a_switch_is_pyvoip_where_the_settings_say_so(tmp_path: Path) -> None:
    with Telephony(tmp_path / "data", LOCAL) as switch:
        async with neighbour(tmp_path, 440) as alice:
            alice.command("dial", f"sip:600@127.0.0.1:{switch.sip_port}")
            await alice.until("CALL_ESTABLISHED")
            await asyncio.sleep(3)
            alice.command("hangup")
            await alice.until("CALL_CLOSED")
            record = (await switch.until("/calls", lambda shown: shown["calls"]))["calls"][0]
            assert record["codec"].lower() == "pcmu"
        async with neighbour(tmp_path / "second", 620) as bob:
            call = switch.client("/call/sip")
            async with call as application:
                await application.send(
                    "invite", option={"caller": "4711", "callee": f"sip:alice@127.0.0.1:{bob.port}"}
                )
                await application.wait("answer")
                await bob.until("CALL_ESTABLISHED")
                await application.send(
                    "tts", text="Hello from the switch, this is pyVoIP.", playId="p", endOfStream=True
                )
                await application.wait("trackEnd", lambda event: event.get("playId") == "p")
                await application.hang_up()
                await bob.until("CALL_CLOSED")
            assert level(bob.heard()) > 100
        await switch.no_calls()
        assert switch.tracebacks() == []
    hears(alice.heard(), 8000, 440)
