"""What phones hear while they wait: music on hold and ringback, recorded from their RTP and measured."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from softswitch.audio import hold_music
from softswitch.sip import events as hp
from tests.legs.sip.phone import HOST
from tests.support.client import Client
from tests.support.ports import free_port
from tests.support.sound import Pcm, level, share
from tests.support.speakers import RATE, WAIT_S, Speaker, is_silent, is_tone, speakers
from tests.support.switch import SwitchThread

RINGBACK_HZ = 425.0
LOUD = 32768 * 10 ** (hold_music.LEVEL_DBOV / 20)
"""Level of the music in units of PCM16."""


def is_music(sound: Pcm) -> bool:
    """Tell whether a sound is the default music: its level, and power at the notes of its chords alone."""
    notes = (261.6, 392.0, 659.3, 987.8, 220.0, 440.0, 523.3, 784.0, 174.6, 880.0, 196.0, 587.3, 698.5)
    total = sum(share(sound, hz, RATE, 12.0) for hz in notes)
    return 0.2 * LOUD < level(sound) < 3 * LOUD and total > 0.5


USERS = [{"name": name, "password": "secret"} for name in ("anna", "bert", "carl")]


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchThread]:
    with SwitchThread(
        tmp_path_factory.mktemp("waiting"), {"sip": {"port": free_port()}, "user": USERS}
    ) as made:
        yield made
        made.check()


def sip_port(switch: SwitchThread) -> int:
    return switch.settings.sip.port


async def register(switch: SwitchThread, *them: Speaker) -> None:
    for one in them:
        assert await one.far.register(sip_port(switch), one.name, "secret") == 200


async def talk(switch: SwitchThread, anna: Speaker, bert: Speaker) -> None:
    """Bring up a call between two phones that hear each other."""
    await asyncio.gather(anna.call(sip_port(switch), "bert"), bert.take())
    await anna.until(is_tone(1500.0), 0.2, "voice of the other phone")
    await bert.until(is_tone(1100.0), 0.2, "voice of the other phone")


async def test_phone_on_hold_hears_music_until_the_other_one_resumes(switch: SwitchThread) -> None:
    async with speakers(("anna", 1100.0), ("bert", 1500.0)) as (anna, bert):
        await register(switch, anna, bert)
        await talk(switch, anna, bert)
        await bert.offer("sendonly", 1)
        await anna.until(is_music, 1.0, "music")
        before = len(bert.heard)
        await anna.until(is_music, 0.5, "music")
        assert len(bert.heard) - before < 3, "the phone that holds the call gets nothing"
        await bert.offer("sendrecv", 2)
        await anna.until(is_tone(1500.0), 0.3, "voice after the hold")
        await bert.until(is_tone(1100.0), 0.3, "voice after the hold")
        anna.far.do("bye", anna.session)


async def test_transferred_caller_hears_music_then_ringback_then_the_target(switch: SwitchThread) -> None:
    async with speakers(("anna", 1100.0), ("bert", 1500.0), ("carl", 1900.0)) as (anna, bert, carl):
        await register(switch, anna, bert, carl)
        await talk(switch, anna, bert)
        await bert.offer("inactive", 1)
        await anna.until(is_music, 0.6, "music")
        bert.far.do("refer", bert.session, f"sip:carl@{HOST}:{sip_port(switch)}")
        rung = await carl.far.until(hp.Invited)
        await anna.until(is_music, 0.4, "music before the target rings")
        carl.far.do("ring", rung.session)
        await anna.until(is_tone(RINGBACK_HZ), 0.5, "ringback")
        await anna.until(is_silent, 0.5, "pause of the ringback")
        await carl.take()
        await anna.until(is_tone(1900.0), 0.3, "voice of the target")
        await carl.until(is_tone(1100.0), 0.3, "voice of the transferred caller")
        anna.far.do("bye", anna.session)


async def test_client_hears_ringback_while_the_target_of_its_refer_rings(switch: SwitchThread) -> None:
    async with speakers(("carl", 1900.0)) as (carl,), switch.client() as client:
        await register(switch, carl)
        await client.invite(vad=False)
        await client.send("refer", callee="user:carl", options={"timeout": 20})
        rung = await carl.far.until(hp.Invited)
        await heard(client, is_music, "music")
        carl.far.do("ring", rung.session)
        await client.wait("ringing")
        await heard(client, is_tone(RINGBACK_HZ), "ringback")
        await carl.take()
        await heard(client, is_tone(1900.0), "voice of the target")
        assert client.count("trackStart") == 1, "no event tells of these sounds"


async def heard(client: Client, fits: Callable[[Pcm], bool], what: str) -> None:
    """Wait until half a second of what a client hears fits, at 16 kHz."""
    async with asyncio.timeout(WAIT_S):
        while True:
            sound = await client.hear(0.6)
            if fits(sound[1600:][::2]):
                return


async def test_bridged_call_hears_music_while_the_other_one_holds(switch: SwitchThread) -> None:
    async with speakers(("anna", 1100.0), ("bert", 1500.0)) as (anna, bert):
        await register(switch, anna, bert)
        async with switch.client("/call/sip") as one, switch.client("/call/sip") as two:
            names = []
            for client, called in ((one, anna), (two, bert)):
                await client.send("invite", option={"caller": "1", "callee": called.name})
                await called.take()
                names.append((await client.wait("answer"))["trackId"])
            await one.send("bridge", targetSessionId=names[1], requestId="b")
            await one.wait("ack")
            await anna.until(is_tone(1500.0), 0.3, "voice over the bridge")
            for number, (holder, waits) in enumerate(((anna, bert), (bert, anna))):
                await holder.offer("sendonly", 1)
                await waits.until(is_music, 0.8, f"music ({number})")
                await holder.offer("sendrecv", 2)
                hz = 1100.0 if holder is anna else 1500.0
                await waits.until(is_tone(hz), 0.3, "voice after the hold")
