"""baresip as a desk phone of the switch: codecs, encryption, keys, hold, calls between phones, transfer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.telephony import Telephony, hears, voice
from tests.support.baresip import RATES, Baresip
from tests.support.sound import Pcm, level, share

pytestmark = pytest.mark.client

SETTINGS = """
[[user]]
name = "alice"
password = "alice-secret"

[[user]]
name = "bob"
password = "bob-secret"

[[user]]
name = "carol"
password = "carol-secret"

[[route]]
match = "600"
to = "echo"
"""


@pytest.fixture
async def switch(tmp_path: Path) -> AsyncIterator[Telephony]:
    """Run a switch with three extensions and an echo."""
    with Telephony(tmp_path / "data", SETTINGS) as running:
        yield running
        await running.no_calls()
        assert running.tracebacks() == []


def phone(
    switch: Telephony, folder: Path, name: str, hz: float, codec: str = "g711", more: str = ""
) -> Baresip:
    """Return a desk phone."""
    account = (
        f"<sip:{name}@127.0.0.1:{switch.sip_port};transport=udp>"
        f";auth_user={name};auth_pass={name}-secret;regint=60{more}"
    )
    return Baresip(folder / name, account, voice(hz, RATES[codec]), codec=codec)


CODECS = {
    "PCMU": ("g711", ";audio_codecs=PCMU/8000/1"),
    "PCMA": ("g711", ";audio_codecs=PCMA/8000/1"),
    "G722": ("g722", ""),
    "opus": ("opus", ""),
}


@pytest.mark.parametrize("codec", CODECS)
async def test_phone_hears_itself_at_the_echo_in_every_codec(
    switch: Telephony, tmp_path: Path, codec: str
) -> None:
    module, more = CODECS[codec]
    async with phone(switch, tmp_path, "alice", 440, module, more) as alice:
        await alice.registered()
        alice.command("dial", "600")
        await alice.until("CALL_ESTABLISHED")
        await asyncio.sleep(3)
        alice.command("hangup")
        await alice.until("CALL_CLOSED")
    hears(alice.heard(), RATES[module], 440)
    record = (await switch.until("/calls", lambda shown: shown["calls"]))["calls"][0]
    assert record["codec"].lower() == codec.lower()


@pytest.mark.parametrize("keying", ["srtp-mand", "dtls_srtp"])
async def test_encrypted_calls_are_heard(switch: Telephony, tmp_path: Path, keying: str) -> None:
    async with phone(switch, tmp_path, "alice", 440, more=f";mediaenc={keying}") as alice:
        await alice.registered()
        alice.command("dial", "600")
        await alice.until("CALL_ESTABLISHED")
        await asyncio.sleep(3)
        alice.command("hangup")
        await alice.until("CALL_CLOSED")
    hears(alice.heard(), RATES["g711"], 440)


@pytest.mark.parametrize("codecs", [("g711", "g711"), ("opus", "g711"), ("g722", "opus")])
async def test_phones_call_one_another_and_hear_only_the_other(
    switch: Telephony, tmp_path: Path, codecs: tuple[str, str]
) -> None:
    async with (
        phone(switch, tmp_path, "alice", 440, codecs[0]) as alice,
        phone(switch, tmp_path, "bob", 1000, codecs[1]) as bob,
    ):
        await alice.registered()
        await bob.registered()
        alice.command("dial", "bob")
        await alice.until("CALL_ESTABLISHED")
        await bob.until("CALL_ESTABLISHED")
        await asyncio.sleep(3)
        bob.command("hangup")
        await alice.until("CALL_CLOSED")
    hears(alice.heard(), RATES[codecs[0]], 1000, but_not=(440,))
    hears(bob.heard(), RATES[codecs[1]], 440, but_not=(1000,))


async def test_keys_reach_the_other_phone(switch: Telephony, tmp_path: Path) -> None:
    async with (
        phone(switch, tmp_path, "alice", 440) as alice,
        phone(switch, tmp_path, "bob", 1000) as bob,
    ):
        await alice.registered()
        await bob.registered()
        alice.command("dial", "bob")
        await alice.until("CALL_ESTABLISHED")
        await asyncio.sleep(1)
        alice.press("59#")
        await bob.until("CALL_DTMF_END")
        await asyncio.sleep(1)
        pressed = [event["param"] for event in bob.events if event.get("type") == "CALL_DTMF_START"]
        assert pressed == ["5", "9", "#"]
        alice.command("hangup")
        await bob.until("CALL_CLOSED")


@pytest.mark.parametrize("music", ["default", "off"])
async def test_held_phone_hears_music_or_silence_until_the_hold_ends(tmp_path: Path, music: str) -> None:
    settings = f'{SETTINGS}\n[media]\nhold_music = "{music}"\n'
    with Telephony(tmp_path / "data", settings) as switch:
        heard, rate = await heard_while_held(switch, tmp_path), RATES["g711"]
        await switch.no_calls()
        assert switch.tracebacks() == []
    hears(heard[: 2 * rate], rate, 440)
    seconds = [heard[at : at + rate] for at in range(rate, heard.size - rate, rate // 4)]
    if music == "off":
        assert any(level(second) < 50 for second in seconds)
    else:
        assert any(level(second) > 200 and share(second, 440, rate) < 0.1 for second in seconds)
    hears(heard[-2 * rate :], rate, 440)


async def heard_while_held(switch: Telephony, tmp_path: Path) -> Pcm:
    """Let alice call bob, hold the call for four seconds and take it back; return what bob heard."""
    async with (
        phone(switch, tmp_path, "alice", 440) as alice,
        phone(switch, tmp_path, "bob", 1000) as bob,
    ):
        await alice.registered()
        await bob.registered()
        alice.command("dial", "bob")
        await alice.until("CALL_ESTABLISHED")
        await asyncio.sleep(1)
        alice.command("hold")
        await asyncio.sleep(4)
        alice.command("resume")
        await asyncio.sleep(2)
        alice.command("hangup")
        await bob.until("CALL_CLOSED")
    return bob.heard()


async def test_phone_transfers_the_call_blindly(switch: Telephony, tmp_path: Path) -> None:
    async with (
        phone(switch, tmp_path, "alice", 440) as alice,
        phone(switch, tmp_path, "bob", 1000) as bob,
        phone(switch, tmp_path, "carol", 620) as carol,
    ):
        for one in (alice, bob, carol):
            await one.registered()
        alice.command("dial", "bob")
        await bob.until("CALL_ESTABLISHED")
        await asyncio.sleep(1)
        bob.command("transfer", f"sip:carol@127.0.0.1:{switch.sip_port}")
        await carol.until("CALL_ESTABLISHED")
        await bob.until("CALL_CLOSED")
        await asyncio.sleep(3)
        alice.command("hangup")
        await carol.until("CALL_CLOSED")
    rate = RATES["g711"]
    hears(alice.heard()[-3 * rate :], rate, 620, but_not=(1000,))
    hears(carol.heard(), rate, 440)


async def test_application_calls_a_phone_and_speaks_to_it(switch: Telephony, tmp_path: Path) -> None:
    async with phone(switch, tmp_path, "alice", 440) as alice:
        await alice.registered()
        async with switch.client("/call/sip", id="out") as application:
            await application.send(
                "invite", option={"caller": "robot", "callee": "alice", "recorder": {"recorderFile": "out"}}
            )
            await application.wait("ringing")
            await application.wait("answer")
            await application.send("tts", text="Hello Alice, this is your switch.", playId="hello")
            await application.wait("trackEnd", lambda event: event.get("playId") == "hello")
            alice.press("7")
            assert (await application.wait("dtmf"))["digit"] == "7"
            await application.send("dtmf", digits="42")
            await alice.until("CALL_DTMF_END")
            alice.command("hangup")
            assert (await application.wait("hangup"))["initiator"] == "callee"
            await application.closed()
    assert level(alice.heard()) > 300


async def test_unknown_and_wrong_phones_are_turned_away(switch: Telephony, tmp_path: Path) -> None:
    account = (
        f"<sip:alice@127.0.0.1:{switch.sip_port};transport=udp>;auth_user=alice;auth_pass=guessed;regint=60"
    )
    async with Baresip(tmp_path / "thief", account, voice(440, 8000)) as thief:
        for _ in range(100):
            if "401" in thief.log() or "403" in thief.log():
                break
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        assert "[1 binding]" not in thief.log()
    shown = switch.get("/admin/users")
    assert all(not user["contacts"] for user in shown["users"])
