"""Section 4: commands."""

import asyncio
import base64
import time
import uuid

import pytest

from tests.conformance.conftest import Switch
from tests.support import sound
from tests.support.client import Client, calling
from tests.support.servers import Files


def of(play_id: str):
    """Return a condition: the event belongs to a playback."""
    return lambda event: event.get("playId") == play_id


@pytest.mark.row(
    "4:invite", "4:call-type", "4:unknown-keys", "4:option-extra", "4:option-ipv6", "4:option-sip"
)
async def test_invite_ignores_what_it_does_not_know(switch: Switch) -> None:
    async with switch.client() as client:
        await client.send(
            "invite",
            callType="webrtc",
            option={
                "enableIpv6": True,
                "extra": {"a": {"b": [1, None]}},
                "sip": {
                    "username": "u",
                    "password": "p",
                    "realm": "r",
                    "contact": "c",
                    "headers": {"X-A": "b"},
                },
                "neverHeardOf": {"x": 1},
                "vad": {"type": "silero", "neverHeardOf": 1},
            },
            neverHeardOf=1,
        )
        await client.wait("answer")
        await client.hang_up()


@pytest.mark.row("4:invite")
async def test_invite_without_an_option_is_a_call(switch: Switch) -> None:
    async with switch.client() as client:
        await client.send("invite")
        await client.wait("answer")
        await client.send("invite")
        error = await client.wait("error")
        assert (error["sender"], error["code"]) == ("command", 409)
        await client.hang_up()


@pytest.mark.row("4:tts", "4:tts-default")
async def test_tts_speaks_and_tells_how_long(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("tts", text="This is a short sentence.", playId="p", endOfStream=True)
        await client.wait("trackStart", of("p"))
        end = await client.wait("trackEnd", of("p"))
        heard = client.heard()
        assert 800 < end["duration"] < 6000
        assert abs(heard.size / 16 - end["duration"]) < 200
        assert sound.loud_ms(heard) > 500
        await client.hang_up()


@pytest.mark.row("4:end-of-stream-spelling", "4:voice-spelling", "4:spellings")
async def test_tts_takes_other_spellings(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False, tts={"sampleRate": 16000}) as client:
        await client.send("tts", text="Hello.", play_id="p", end_of_stream=True, voice="no-such-voice")
        await client.wait("trackEnd", of("p"))
        await client.hang_up()


@pytest.mark.row("4:base64")
@pytest.mark.parametrize(("option", "rate"), [({}, 16000), ({"samplerate": 8000}, 8000)])
async def test_tts_takes_audio_as_base64(switch: Switch, option: dict[str, int], rate: int) -> None:
    async with calling(switch.socket_url("/call"), vad=False, tts=option) as client:
        text = base64.b64encode(sound.tone(700, 1, rate).tobytes()).decode()
        await client.send("tts", text=text, base64=True, playId="p", endOfStream=True)
        end = await client.wait("trackEnd", of("p"))
        assert abs(end["duration"] - 1000) < 100
        assert abs(sound.pitch(client.heard()) - 700) < 10
        await client.send("tts", text="not base64!", base64=True)
        assert "base64" in (await client.wait("error"))["error"]
        await client.hang_up()


@pytest.mark.row("4:cache-key")
async def test_tts_with_a_cache_key_sounds_the_same_again(switch: Switch) -> None:
    key = uuid.uuid4().hex
    lengths = []
    for _ in range(2):
        async with calling(switch.socket_url("/call"), vad=False) as client:
            await client.send("tts", text="A phrase to keep.", cacheKey=key, playId="p", endOfStream=True)
            lengths.append((await client.wait("trackEnd", of("p")))["duration"])
            await client.hang_up()
    assert abs(lengths[0] - lengths[1]) <= 40


@pytest.mark.row("4:play", "4:play-id-default")
async def test_play_sounds_and_its_url_is_its_play_id(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(600, 1)))
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=url)
        start = await client.wait("trackStart", of(url))
        end = await client.wait("trackEnd", of(url))
        assert start["trackId"] == end["trackId"] == "server-side-track"
        assert abs(end["duration"] - 1000) < 100
        assert abs(sound.pitch(client.heard()) - 600) < 10
        await client.hang_up()


@pytest.mark.row("4:offset")
async def test_play_begins_at_an_offset(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.join(sound.tone(500, 1), sound.tone(1500, 1))))
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=url, offsetMs=1200)
        end = await client.wait("trackEnd", of(url))
        assert abs(end["duration"] - 800) < 150
        assert sound.share(client.heard(), 1500) > 0.9
        await client.hang_up()


@pytest.mark.row("4:loop")
async def test_play_loops_until_interrupted(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(500, 0.4)))
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=url, loop=True, playId="p")
        heard = await client.hear(1.6)
        assert sound.loud_ms(heard) > 1400
        assert client.count("trackEnd") == 0
        await client.send("interrupt")
        await client.wait("interruption", of("p"))
        await client.wait("trackEnd", of("p"))
        await client.hang_up()


@pytest.mark.row("4:gain")
async def test_play_is_as_loud_as_its_gain(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(500, 0.6, level=0.2)))
    levels = []
    async with calling(switch.socket_url("/call"), vad=False) as client:
        for gain in (1.0, 0.25):
            client.audio.clear()
            await client.send("play", url=url, gain=gain, playId=f"p{gain}")
            await client.wait("trackEnd", of(f"p{gain}"))
            levels.append(sound.level(client.heard()[3200:6400]))
        await client.hang_up()
    assert 0.2 < levels[1] / levels[0] < 0.3


@pytest.mark.row("4:interrupt", "6:interruption", "8:interruption")
async def test_interrupt_stops_and_tells_where(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(500, 5)))
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=url, playId="p")
        await client.wait("trackStart", of("p"))
        await asyncio.sleep(1.0)
        asked = time.monotonic()
        await client.send("interrupt")
        cut = await client.wait("interruption", of("p"))
        end = await client.wait("trackEnd", of("p"))
        assert cut["trackId"] == end["trackId"] == "server-side-track"
        assert 700 < cut["position"] < 3000
        assert abs(cut["totalDuration"] - 5000) < 200
        assert client.names().index("interruption") < client.names().index("trackEnd")
        await asyncio.sleep(0.5)
        assert sound.loud_ms(client.heard(asked + 0.4)) == 0
        await client.hang_up()


@pytest.mark.row("6:interruption")
async def test_interruption_of_speech_tells_what_was_heard(switch: Switch) -> None:
    text = "First sentence here. Second sentence here. Third sentence here. Fourth sentence here."
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("tts", text=text, playId="p", endOfStream=True)
        await client.wait("trackStart", of("p"))
        await asyncio.sleep(1.0)
        await client.send("interrupt")
        cut = await client.wait("interruption", of("p"))
        assert cut["subtitle"].startswith("First")
        assert "Fourth" not in cut["subtitle"]
        await client.hang_up()


@pytest.mark.row("4:graceful")
async def test_graceful_interrupt_finishes_the_sentence(switch: Switch) -> None:
    text = "This is the first sentence of them. And here comes another sentence, which is not wanted."
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("tts", text=text, playId="whole", endOfStream=True)
        whole = (await client.wait("trackEnd", of("whole")))["duration"]
        await client.send("tts", text=text, playId="p", endOfStream=True)
        await client.wait("trackStart", of("p"))
        await asyncio.sleep(0.4)
        await client.send("interrupt", graceful=True)
        cut = await client.wait("interruption", of("p"))
        assert 800 < cut["position"] < whole - 800
        await client.wait("trackEnd", of("p"))
        await client.hang_up()


@pytest.mark.row("4:fade-out")
async def test_interrupt_fades_as_long_as_asked(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(500, 5)))
    lengths = {}
    for fade in (20, 600):
        async with calling(switch.socket_url("/call"), vad=False) as client:
            await client.send("play", url=url, playId="p")
            await client.hear(0.4)
            before = sound.loud_ms(client.heard())
            await client.send("interrupt", fadeOutMs=fade)
            await client.wait("trackEnd", of("p"))
            await asyncio.sleep(0.2)
            lengths[fade] = sound.loud_ms(client.heard()) - before
            await client.hang_up()
    assert lengths[600] - lengths[20] > 250


@pytest.mark.row("4:one-play-id")
async def test_interrupt_of_one_play_id_leaves_others_alone(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(500, 1)))
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=url, playId="p")
        await client.wait("trackStart", of("p"))
        await client.send("interrupt", playId="other")
        end = await client.wait("trackEnd", of("p"))
        assert end["duration"] > 900
        assert client.count("interruption") == client.count("error") == 0
        await client.hang_up()


@pytest.mark.row("4:pause", "4:resume")
async def test_pause_holds_and_resume_goes_on(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(500, 1.5)))
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=url, playId="p")
        await client.hear(0.5)
        await client.send("pause", requestId="1")
        await client.wait("ack")
        await asyncio.sleep(0.3)
        before = sound.loud_ms(client.heard())
        await asyncio.sleep(1.5)
        assert sound.loud_ms(client.heard()) == before
        assert client.count("trackEnd") == 0
        await client.send("resume")
        end = await client.wait("trackEnd", of("p"))
        assert abs(end["duration"] - 1500) < 150
        assert abs(sound.loud_ms(client.heard()) - 1500) < 150
        await client.hang_up()


@pytest.mark.row("4:hangup", "4:hangup-fields")
async def test_hangup_takes_reason_initiator_and_headers(switch: Switch) -> None:
    async with calling(switch.socket_url("/call")) as client:
        hangup = await client.hang_up(reason="enough", initiator="bot", headers={"X-Why": "because"})
        assert (hangup["reason"], hangup["initiator"]) == ("enough", "bot")


@pytest.mark.row("4:mute", "4:unmute", "8:mute")
async def test_mute_silences_the_machine_and_unmute_lets_it_speak(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(500, 6)))
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=url, playId="p")
        await client.hear(0.3)
        await client.send("mute")
        muted = await client.wait("mute")
        assert muted["muted"] is True
        await asyncio.sleep(0.3)
        since = time.monotonic()
        await asyncio.sleep(0.5)
        assert sound.loud_ms(client.heard(since)) == 0
        await client.send("unmute")
        assert (await client.wait("mute"))["muted"] is False
        await asyncio.sleep(0.2)
        assert sound.loud_ms(await client.hear(0.4)) > 300
        await client.hang_up()


@pytest.mark.row("4:mute", "4:mute-one")
async def test_mute_of_the_party_silences_it_for_the_others(switch: Switch) -> None:
    async with (
        calling(switch.socket_url("/call", id=(name := uuid.uuid4().hex)), vad=False) as client,
        calling(switch.socket_url("/call", id=(other := uuid.uuid4().hex)), vad=False) as ear,
    ):
        await client.send("bridge", targetSessionId=other)
        talking = asyncio.ensure_future(client.speak(sound.tone(800, 6)))
        await ear.until(lambda: sound.loud_ms(ear.heard()) > 300)
        await client.send("mute", trackId="server-side-track")
        assert (await client.wait("mute"))["trackId"] == "server-side-track"
        since = time.monotonic() + 0.2
        await ear.until(lambda: sound.loud_ms(ear.heard(since)) > 300)
        await client.send("mute", trackId=name)
        assert (await client.wait("mute"))["trackId"] == name
        since = time.monotonic() + 0.5
        await asyncio.sleep(1.2)
        assert sound.loud_ms(ear.heard(since)) == 0
        await client.send("mute", trackId="unknown")
        await client.wait("error")
        talking.cancel()


@pytest.mark.row("4:history", "8:addHistory")
async def test_history_becomes_an_event(switch: Switch) -> None:
    async with calling(switch.socket_url("/call")) as client:
        await client.send("history", speaker="user", text="I said that.")
        event = await client.wait("addHistory")
        assert (event["speaker"], event["text"]) == ("user", "I said that.")
        await client.hang_up()


@pytest.mark.row("4:custom", "8:custom")
async def test_custom_becomes_an_event(switch: Switch) -> None:
    async with calling(switch.socket_url("/call")) as client:
        data = {"a": [1, 2.5, None, {"play_id": "kept as it is"}]}
        await client.send("custom", sender="bot", data=data)
        event = await client.wait("custom")
        assert (event["sender"], event["data"]) == ("bot", data)
        await client.hang_up()


@pytest.mark.row("4:mark", "8:mark")
async def test_mark_is_told_when_playback_passes_it(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        text = base64.b64encode(sound.tone(700, 0.8).tobytes()).decode()
        await client.send("tts", text=text, base64=True, playId="p")
        await client.send("mark", name="middle")
        await client.send("tts", text=text, base64=True, playId="p", endOfStream=True)
        start = await client.wait("trackStart", of("p"))
        mark = await client.wait("mark")
        end = await client.wait("trackEnd", of("p"))
        assert (mark["name"], mark["status"]) == ("middle", "played")
        assert 500 < mark["timestamp"] - start["timestamp"] < end["timestamp"] - start["timestamp"]
        await client.hang_up()


@pytest.mark.row("4:mark", "8:mark")
async def test_mark_is_cleared_with_its_playback_and_told_at_once_without_one(
    switch: Switch, files: Files
) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(500, 5)))
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("mark", name="now")
        assert (await client.wait("mark"))["status"] == "played"
        await client.send("play", url=url, playId="p")
        await client.wait("trackStart", of("p"))
        await client.send("mark", name="never reached")
        await client.send("interrupt")
        mark = await client.wait("mark")
        assert (mark["name"], mark["status"]) == ("never reached", "cleared")
        await client.hang_up()


async def press(client: Client, digits: str) -> None:
    """Press keys as tones in the audio."""
    rows, columns = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
    for digit in digits:
        place = "123A456B789C*0#D".index(digit)
        low, high = sound.tone(rows[place // 4], 0.12), sound.tone(columns[place % 4], 0.12)
        await client.speak(sound.join(low // 2 + high // 2, sound.silence(0.12)))


@pytest.mark.row("4:collect", "8:collect")
async def test_collect_ends_by_number_terminator_and_time(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), inbandDtmf=True, vad=False) as client:
        await client.send("collect", maxDigits=2, timeoutMs=8000)
        await press(client, "12")
        done = await client.wait("collect")
        assert (done["digits"], done["reason"]) == ("12", "complete")
        await client.send("collect", maxDigits=10, terminators="#", timeoutMs=8000)
        await press(client, "7#")
        done = await client.wait("collect")
        assert (done["digits"], done["reason"]) == ("7", "terminator")
        await client.send("collect", timeoutMs=300)
        done = await client.wait("collect")
        assert (done["digits"], done["reason"]) == ("", "timeout")
        await client.hang_up()


@pytest.mark.row("4:dtmf")
async def test_dtmf_is_sent_to_the_far_end(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("dtmf", digits="5", requestId="1")
        await client.wait("ack")
        heard = await client.hear(0.08)
        assert sound.share(heard, 770, width=60) + sound.share(heard, 1336, width=60) > 0.7
        await client.hang_up()


@pytest.mark.row("4:bridge", "4:unbridge")
@pytest.mark.parametrize("routes", [("/call", "/call"), ("/call", "/call/webrtc")])
async def test_bridge_joins_two_calls_and_unbridge_parts_them(
    switch: Switch, routes: tuple[str, str]
) -> None:
    first, second = uuid.uuid4().hex, uuid.uuid4().hex
    async with switch.phone(routes[0], id=first) as one, switch.phone(routes[1], id=second) as two:
        await one.call(vad=False)
        await two.call(vad=False)
        await one.send("bridge", targetSessionId=second, requestId="b")
        await one.wait("ack")
        talking = asyncio.ensure_future(
            asyncio.gather(one.speak(sound.tone(600, 8)), two.speak(sound.tone(1000, 8)))
        )
        rate = 48000 if routes[1] == "/call/webrtc" else 16000
        await two.until(
            lambda: sound.share(two.heard()[-rate // 2 :], 600, rate) > 0.8, what="two hears nothing"
        )
        await one.until(lambda: sound.share(one.heard()[-8000:], 1000) > 0.8, what="one hears nothing")
        await one.send("unbridge")
        since = time.monotonic() + 0.6
        await asyncio.sleep(1.4)
        assert sound.loud_ms(one.heard(since)) == 0
        assert sound.loud_ms(two.heard(since), rate) == 0
        talking.cancel()
        await one.hang_up()
        await two.hang_up()


@pytest.mark.row("4:bridge")
async def test_bridge_ends_with_either_call_and_the_other_lives(switch: Switch) -> None:
    async with switch.client(id=(name := uuid.uuid4().hex)) as one, switch.client() as two:
        await one.invite()
        await two.invite()
        await two.send("bridge", targetSessionId=name)
        await one.hang_up()
        await two.send("mark", name="alive")
        await two.wait("mark")
        for target in (name, two.events[0]["trackId"], "unknown"):
            await two.send("bridge", targetSessionId=target)
            await two.wait("error")
        await two.hang_up()


@pytest.mark.row("8:hangup")
async def test_command_after_hangup_changes_nothing(switch: Switch) -> None:
    async with calling(switch.socket_url("/call")) as client:
        await client.send("hangup", reason="first")
        await client.send("hangup", reason="second")
        await client.closed()
        assert [event["reason"] for event in client.all("hangup")] == ["first"]
