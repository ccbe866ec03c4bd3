"""Rooms that the switch mixes: what each participant hears, calls in them, recordings, figures, bots."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.conformance.conftest import Switch
from tests.files.audio_files import odd_wav
from tests.support import sound
from tests.support.bots import Bot
from tests.support.rooms import Browser, Message, Rest, Socket, humming, read_recording, tones
from tests.support.servers import Files

pytestmark = pytest.mark.conformance


async def until(condition: Any, seconds: float = 15.0) -> Any:
    """Ask until the answer is true, and return it."""
    async with asyncio.timeout(seconds):
        while not (answer := await condition()):
            await asyncio.sleep(0.05)
    return answer


async def finish(switch: Switch, rest: Rest, room_id: str) -> None:
    """Delete a room and wait until its calls are over."""
    await rest.ask("DELETE", f"/rooms/{room_id}")

    async def quiet() -> bool:
        async with aiohttp.ClientSession() as http, http.get(switch.url("/call/lists")) as answer:
            return not (await answer.json())["calls"]

    await until(quiet)


@pytest.mark.row(
    "mix-answers", "voice-mix", "call-room", "ev-stream-started", "record-mix", "stats-switch", "cases",
)  # fmt: skip
async def test_browsers_and_a_call_hear_each_other_and_not_themselves(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create(topology="mix", recording={"enabled": True})
    all_tones = (440.0, 800.0, 1200.0)
    async with Browser(switch) as a, Browser(switch) as b, switch.client() as c:
        await a.join(room_id, "a")
        await b.join(room_id, "b")
        a.hum(440)
        b.hum(800)
        await a.talk()
        await b.talk()
        answer = next(message for message in a.messages if message["type"] == "webrtc:answer")
        assert answer["fromParticipantId"] not in (a.id, b.id)
        await c.invite(caller="script", callee=f"room:{room_id}", vad=False)
        async with humming(c, 1200):
            await a.wait("room:participant-joined", lambda said: said["participant"]["agentId"] == "script")
            await a.wait("voice:stream-started", lambda said: said["participantId"] == b.id)

            async def three() -> bool:
                return [one["status"] for one in await rest.people(room_id)] == ["connected"] * 3

            await until(three)
            await a.hear(1)
            heard_a, heard_b, heard_c = await asyncio.gather(a.hear(2), b.hear(2), c.hear(2))
        assert tones(heard_a, all_tones, 48000) == {800.0, 1200.0}
        assert tones(heard_b, all_tones, 48000) == {440.0, 1200.0}
        assert tones(heard_c, all_tones, 16000) == {440.0, 800.0}
        assert (await rest.room(room_id))["participants_count"] == 3
        await c.hang_up()
        left = await a.wait("room:participant-left")
        assert left["reason"] == "user_left"
        sent = {one.id: _packets(one, await one.rtc.peer.getStats()) for one in (a, b)}
        for one in (a, b):
            await one.say("room:leave")
            await one.wait("room:participant-left", _of(one.id))

    async def measured() -> Any:
        sessions = await rest.sessions(room_id)
        sources = [session["stats"]["source"] for session in sessions]
        return sessions if sources == ["switch"] * 3 else None

    for session in await until(measured):
        stats = session["stats"]
        assert session["status"] == "completed"
        assert min(stats["voice_packets_sent"], stats["voice_packets_received"], stats["bytes_sent"]) > 50
        if session["participant_id"] in sent:
            assert stats["voice_packets_sent"] == pytest.approx(
                sent[session["participant_id"]], rel=0.05, abs=6
            )

    async def recorded() -> Any:
        kept = await _recordings(switch)
        mine = [each for each in kept if each["callId"] == room_id]
        return mine if len(mine) == 4 else None

    found = set()
    for kept in await until(recorded):
        pcm, rate = read_recording(switch.data / "recordings" / kept["name"])
        if pcm.shape[0] == 2 and np.array_equal(pcm[0], pcm[1]):
            assert tones(pcm[0], all_tones, rate) == set(all_tones)
            found.add("all_tones")
        else:
            [mine] = tones(pcm[0], all_tones, rate)
            assert mine not in tones(pcm[1], all_tones, rate)
            found.add(str(mine))
    assert found == {"all_tones", "440.0", "800.0", "1200.0"}


def _of(participant: str) -> Callable[[Message], bool]:
    return lambda said: said["participantId"] == participant


def _packets(one: Browser, stats: Any) -> int:
    return int(next(each.packetsSent for each in stats.values() if each.type == "outbound-rtp"))


async def _recordings(switch: Switch) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as http, http.get(switch.url("/recordings", limit=100)) as answer:
        return list((await answer.json())["recordings"])


@pytest.mark.row("mute-mix")
async def test_who_is_muted_is_not_heard(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create(topology="mix")
    async with Browser(switch) as a, Browser(switch) as b:
        await a.join(room_id, "a")
        await b.join(room_id, "b")
        a.hum(440)
        await a.talk()
        await b.talk()
        await b.wait("voice:stream-started")
        await a.say("room:mute", muted=True)
        assert (await b.wait("room:muted"))["muted"] is True
        await b.wait("voice:stream-stopped")
        await b.hear(0.5)
        assert sound.level(await b.hear(0.5)) < 50
        await a.say("room:mute", muted=False)
        await b.wait("voice:stream-started")
        assert tones(await b.hear(0.5), (440.0,), 48000) == {440.0}


@pytest.mark.row("hangs-up", "deleted")
async def test_a_room_that_is_deleted_hangs_its_calls_up(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create(topology="mix")
    async with switch.client() as call:
        await call.invite(callee=f"room:{room_id}")
        assert (await rest.room(room_id))["participants_count"] == 1
        await rest.ask("DELETE", f"/rooms/{room_id}")
        await call.wait("hangup")


@pytest.mark.row("call-unknown-room", "call-p2p")
async def test_a_call_to_a_room_that_does_not_take_it_is_told_why(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create(topology="p2p")
    async with switch.client() as call:
        await call.invite(callee=f"room:{room_id}")
        rejected = await call.wait("reject")
        assert rejected["code"] == 422
        await call.hang_up()


@pytest.mark.row("call-unknown-room")
async def test_a_call_to_a_room_that_is_not_there_is_refused_before_the_answer(switch: Switch) -> None:
    async with switch.client() as call:
        await call.send("invite", option={"callee": "room:nowhere"})
        error = await call.wait("error")
        assert error["code"] == 404
        assert not call.count("answer")


@pytest.mark.row("mix-answers", "e-webcrtc")
async def test_the_switch_refuses_offers_that_it_cannot_take(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create(topology="mix")
    async with Socket(switch) as a:
        await a.join(room_id, "a")
        await a.say("webrtc:offer", offer={"type": "offer", "sdp": "v=0\r\nnonsense"})
        await a.error("WEBCRTC_ERROR")
        await a.say("webrtc:answer", answer={"type": "answer", "sdp": "v=0\r\n"})
        await a.error("WEBCRTC_ERROR")
        await a.say(
            "webrtc:ice-candidate", candidate={"candidate": "candidate:1 1 udp 1 10.0.0.1 9 typ host"}
        )
        await a.error("WEBCRTC_ERROR")


@pytest.mark.row("voice-codec", "voice-bitrate")
async def test_codec_and_bitrate_of_the_settings_are_honoured(switch: Switch, rest: Rest) -> None:
    first = {}
    for voice in ({"codec": "pcmu"}, {"codec": "opus", "bitrate": 20000}):
        room_id = await rest.create(topology="mix", voice=voice)
        async with Browser(switch) as a:
            await a.join(room_id, "a")
            await a.talk()
            answer = next(message for message in a.messages if message["type"] == "webrtc:answer")
            first[voice["codec"]] = answer["answer"]["sdp"]
    assert "PCMU/8000" in first["pcmu"]
    assert "opus" not in first["pcmu"]
    assert "maxaveragebitrate=20000" in first["opus"]


@pytest.mark.row("come-back", "mix-answers")
async def test_who_comes_back_to_a_mix_offers_again(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create(topology="mix")
    async with Browser(switch) as a:
        await a.join(room_id, "a")
        await a.talk()
        a.hum(440)
        async with Browser(switch) as b:
            await b.join(room_id, "b")
            await b.talk()
        async with Browser(switch) as again:
            joined = await again.join(room_id, "b")
            assert joined["participantId"] == b.id
            await again.talk()
            await again.hear(0.5)
            assert tones(await again.hear(1), (440.0,), 48000) == {440.0}


@pytest.mark.row("bot")
async def test_a_bot_hears_the_room_and_is_heard_in_it(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create(topology="mix")
    async with Bot() as bot, Browser(switch) as a, switch.client() as c:
        await a.join(room_id, "a")
        a.hum(440)
        await a.talk()
        await c.invite(callee=f"room:{room_id}", vad=False)
        status, body = await rest.ask(
            "POST", f"/rooms/{room_id}/streams", {"stream_url": bot.url(), "stream_type": "twoway"}
        )
        assert status == 201, body
        stream = await bot.stream()
        await stream.until(lambda: len(stream.frames()) > 75)
        assert tones(stream.heard()[-24000:], (440.0, 1000.0), 24000) == {440.0}
        before = len(stream.frames())
        await stream.speak(sound.tone(1000, 4, 24000))
        await a.hear(1.5)
        heard = await asyncio.gather(a.hear(1), c.hear(1))
        assert tones(heard[0], (440.0, 1000.0), 48000) == {1000.0}
        assert tones(heard[1], (440.0, 1000.0), 16000) == {440.0, 1000.0}
        assert tones(np.frombuffer(b"".join(stream.frames()[before:]), "<i2"), (440.0, 1000.0), 24000) == {
            440.0
        }
        assert await rest.ask("DELETE", f"/rooms/{room_id}/streams/{body['id']}") == (204, None)
        await stream.ended()
        await finish(switch, rest, room_id)


@pytest.mark.row("tts-room")
async def test_file_that_cannot_be_decoded_leaves_the_room_alone(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create(topology="mix")
    async with Browser(switch) as a, Files() as files:
        await a.join(room_id, "a")
        await a.talk()
        odd, well = files.put("odd.wav", odd_wav(bits=45)), files.put("a.wav", sound.wav(sound.tone(500, 3)))
        # The one layer does not end the other, which has thus the time to fail.
        for url, layer in ((odd, "odd"), (well, "")):
            play = {"command": "play", "url": url, "layer": layer, "loop": True}
            status, body = await rest.ask("POST", f"/rooms/{room_id}/commands", play)
            assert (status, body) == (200, {"success": True})

        async def heard() -> bool:
            return tones(await a.hear(0.5), (500.0, 1000.0), 48000) == {500.0}

        await until(heard)
        await a.hear(1)
        assert await heard()
        assert [one["status"] for one in await rest.people(room_id)] == ["connected"]
        await finish(switch, rest, room_id)


@pytest.mark.row("tts-room")
async def test_a_text_is_spoken_into_the_room(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create(topology="mix")
    async with Browser(switch) as a:
        await a.join(room_id, "a")
        await a.talk()
        status, body = await rest.ask(
            "POST", f"/rooms/{room_id}/commands", {"command": "tts", "text": "Good morning to all of you."}
        )
        assert (status, body) == (200, {"success": True})

        async def loud() -> bool:
            return sound.level(await a.hear(0.2)) > 300

        await until(loud)
        await finish(switch, rest, room_id)
    status, body = await rest.ask("POST", f"/rooms/{room_id}/commands", {"command": "dance"})
    assert status in (404, 422), body
    room_id = await rest.create()
    status, _ = await rest.ask("POST", f"/rooms/{room_id}/commands", {"command": "tts", "text": "x"})
    assert status == 422
