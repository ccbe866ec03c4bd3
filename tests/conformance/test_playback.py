"""Section 6: what plays, what follows it, and what ends with it."""

import asyncio
import base64
import time

import pytest

from softswitch.settings import Settings
from tests.conformance.conftest import StartSwitch, Switch
from tests.conformance.test_commands import of, press
from tests.files.audio_files import odd_wav
from tests.support import sound
from tests.support.client import calling
from tests.support.servers import Files


def spoken(hz: float, seconds: float) -> dict[str, object]:
    """Return the fields of a tts command that speaks a tone."""
    return {"text": base64.b64encode(sound.tone(hz, seconds).tobytes()).decode(), "base64": True}


@pytest.mark.row("6:append")
@pytest.mark.parametrize("play_id", ["p", None])
async def test_same_play_id_appends(switch: Switch, play_id: str | None) -> None:
    fields = {} if play_id is None else {"playId": play_id}
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("tts", **spoken(500, 0.6), **fields)
        await client.send("tts", **spoken(1500, 0.6), **fields, endOfStream=True)
        end = await client.wait("trackEnd")
        assert abs(end["duration"] - 1200) < 150
        assert client.count("trackStart") == 2, "the party's and one more"
        assert client.count("interruption") == 0
        heard = client.heard()
        middle = heard.size // 2
        assert sound.share(heard[: middle - 1600], 500) > 0.9
        assert sound.share(heard[middle + 1600 :], 1500) > 0.9
        await client.hang_up()


@pytest.mark.row("6:replace", "6:interruption")
async def test_other_play_id_interrupts(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(500, 6)))
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=url, playId="first")
        await client.wait("trackStart", of("first"))
        await asyncio.sleep(0.4)
        await client.send("tts", **spoken(1500, 0.6), playId="second", endOfStream=True)
        cut = await client.wait("interruption", of("first"))
        assert 200 < cut["position"] < 3000
        await client.wait("trackEnd", of("first"))
        end = await client.wait("trackEnd", of("second"))
        assert abs(end["duration"] - 600) < 100
        await client.hang_up()


@pytest.mark.row("6:end-of-stream")
async def test_end_of_stream_ends_the_track_when_drained(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("tts", **spoken(500, 0.6), playId="p", endOfStream=True)
        start = await client.wait("trackStart", of("p"))
        end = await client.wait("trackEnd", of("p"))
        assert client.when(end) - client.when(start) < 1.4, "it does not wait for more"
        await client.hang_up()


@pytest.mark.row("6:empty-terminator")
async def test_empty_text_with_end_of_stream_ends_a_track(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("tts", text="One sentence.", playId="p", streaming=True)
        await client.send("tts", text="", playId="p", streaming=True, endOfStream=True)
        await client.wait("trackEnd", of("p"))
        await client.send("tts", text="", playId="q", streaming=True, endOfStream=True)
        await client.send("tts", text="", endOfStream=True)
        await client.send("mark", name="alive")
        await client.wait("mark")
        assert client.count("error") == 0
        await client.hang_up()


@pytest.mark.row("6:idle-ends")
async def test_track_that_nobody_ends_ends_a_second_after_it_drained(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("tts", text="One sentence.", playId="p", streaming=True)
        await client.wait("trackStart", of("p"))
        end = await client.wait("trackEnd", of("p"))
        last = max(when for when, _ in client.audio)
        assert 0.5 < client.when(end) - last < 3
        await client.hang_up()


@pytest.mark.row("6:order")
async def test_streamed_pieces_are_spoken_in_their_order(switch: Switch) -> None:
    words = "Monday is the first day. Tuesday is the second day. Wednesday is the third day."
    async with calling(switch.socket_url("/call"), vad=False) as client:
        for place in range(0, len(words), 7):
            await client.send("tts", text=words[place : place + 7], playId="p", streaming=True)
            await asyncio.sleep(0.01)
        await client.send("tts", text="", playId="p", streaming=True, endOfStream=True)
        streamed = await client.wait("trackEnd", of("p"))
        await client.send("tts", text=words, playId="q", endOfStream=True)
        whole = await client.wait("trackEnd", of("q"))
        assert 0.7 < streamed["duration"] / whole["duration"] < 1.4
        await client.hang_up()


@pytest.mark.row("6:early-audio")
async def test_first_audio_is_out_before_the_text_is_complete(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("tts", text="A first sentence. And then", playId="p", streaming=True)
        await client.wait("trackStart", of("p"))
        await client.hear(0.1)
        await client.send("tts", text=" the rest of it.", playId="p", streaming=True, endOfStream=True)
        await client.wait("trackEnd", of("p"))
        await client.hang_up()


@pytest.mark.row("6:interrupt-nothing")
async def test_interrupt_of_nothing_is_no_error(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("interrupt")
        await client.send("interrupt", graceful=True, fadeOutMs=100, playId="p")
        await client.send("mark", name="alive")
        await client.wait("mark")
        assert client.names() == ["answer", "trackStart", "mediaReady", "mark"]
        await client.hang_up()


@pytest.mark.row("6:autohangup")
@pytest.mark.parametrize("kind", ["tts", "play"])
@pytest.mark.parametrize("route", ["/call", "/call/webrtc"])
async def test_autohangup_waits_until_its_audio_was_heard(
    switch: Switch, files: Files, kind: str, route: str
) -> None:
    fields = {"url": files.put("a.wav", sound.wav(sound.tone(900, 1)))} if kind == "play" else spoken(900, 1)
    async with switch.phone(route) as client:
        await client.call(vad=False)
        await client.send(kind, **fields, autoHangup=True)
        hangup = await client.wait("hangup")
        assert hangup["reason"] == "autohangup"
        await client.closed()
        rate = 48000 if route == "/call/webrtc" else 16000
        assert sound.loud_ms(client.heard(), rate) >= 900
        ends = [event for event in client.all("trackEnd") if event["trackId"] == "server-side-track"]
        assert len(ends) == 1


@pytest.mark.row("6:autohangup-own")
async def test_autohangup_is_not_set_off_by_another_playback(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(900, 6)))
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=url, playId="bye", autoHangup=True)
        await client.wait("trackStart", of("bye"))
        await client.send("tts", **spoken(500, 0.5), playId="wait", endOfStream=True)
        await client.wait("interruption", of("bye"))
        await client.wait("trackEnd", of("wait"))
        await client.nothing("hangup", 1.0)
        await client.hang_up()


@pytest.mark.row("6:wait-input", "4:wait-input")
async def test_wait_input_timeout_tells_silence(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("tts", **spoken(500, 0.4), playId="p", endOfStream=True, waitInputTimeout=600)
        end = await client.wait("trackEnd", of("p"))
        silence = await client.wait("silence")
        assert 0.4 < client.when(silence) - client.when(end) < 3
        await client.hang_up()


@pytest.mark.row("6:wait-input")
async def test_wait_input_timeout_is_called_off_by_a_key_or_a_text(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False, inbandDtmf=True) as client:
        await client.send("tts", **spoken(500, 0.3), playId="p", endOfStream=True, waitInputTimeout=1500)
        await client.wait("trackEnd", of("p"))
        await press(client, "4")
        await client.wait("dtmf")
        await client.send("tts", **spoken(500, 0.3), playId="q", endOfStream=True, waitInputTimeout=800)
        await client.wait("trackEnd", of("q"))
        await client.send("tts", **spoken(500, 0.3), playId="r", endOfStream=True)
        await client.wait("trackEnd", of("r"))
        await client.nothing("silence", 1.5)
        assert client.count("silence") == 0
        await client.hang_up()


@pytest.mark.row("6:play-error")
@pytest.mark.parametrize("kind", ["missing", "refused", "scheme", "no audio", "unknown", "playlist", "empty"])
async def test_play_that_fails_is_an_error_and_the_call_lives(
    switch: Switch, files: Files, kind: str
) -> None:
    url = {
        "missing": files.url("nothing.wav"),
        "refused": "http://169.254.169.254/latest/meta-data/",
        "scheme": "file:///etc/passwd",
        "no audio": files.put("b.wav", b"this is no audio at all" * 100),
        "unknown": "http://127.0.0.1:9/",
        "playlist": files.put("a.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
        "empty": files.put("c.wav", b""),
    }[kind]
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=url)
        error = await client.wait("error")
        assert error["sender"] == "play"
        assert "root:" not in error["error"]
        if kind != "scheme":  # a misspelt URL is refused before anything is played
            await client.wait("trackEnd", of(url))
        await client.send("mark", name="alive")
        await client.wait("mark")
        await client.hang_up()


@pytest.mark.row("6:play-error")
async def test_play_refused_names_the_setting(start_switch: StartSwitch, files: Files) -> None:
    switch = start_switch({"egress": {"allow": []}})
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=files.put("a.wav", sound.wav(sound.tone(500, 1))))
        assert "[egress] allow" in (await client.wait("error"))["error"]
        await client.hang_up()
    assert files.requests == []
    assert Settings().egress.allow == ()


FORMATS = [
    ("wav", "pcm_s16le"),
    ("wav", "pcm_mulaw"),
    ("wav", "pcm_alaw"),
    ("mp3", "libmp3lame"),
    ("ogg", "libopus"),
    ("flac", "flac"),
    ("ipod", "aac"),
    ("au", "pcm_mulaw"),
]


@pytest.mark.row("6:play-formats")
@pytest.mark.parametrize(("kind", "codec"), FORMATS)
async def test_play_knows_the_format(switch: Switch, files: Files, kind: str, codec: str) -> None:
    rate = 8000 if "law" in codec else 16000
    content = sound.container(sound.tone(600, 1, rate), kind, codec, rate)
    url = files.put(f"a.{kind}", content)
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.send("play", url=url)
        end = await client.wait("trackEnd", of(url))
        assert client.count("error") == 0, client.all("error")
        assert abs(end["duration"] - 1000) < 150
        assert abs(sound.pitch(client.heard()) - 600) < 15
        await client.hang_up()


@pytest.mark.row("4:interrupt")
async def test_interrupt_is_heard_at_once(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(500, 10)))
    delays = []
    async with calling(switch.socket_url("/call"), vad=False) as client:
        for number in range(5):
            await client.send("play", url=url, playId=f"p{number}")
            await client.hear(0.4)
            asked = time.monotonic()
            await client.send("interrupt", fadeOutMs=0)
            await client.wait("interruption", of(f"p{number}"))
            await asyncio.sleep(0.3)
            loud = [
                when for when, data in client.audio if when > asked and sound.level(sound.pcm(data)) > 200
            ]
            delays.append(max(loud, default=asked) - asked)
        await client.hang_up()
    assert min(delays) < 0.06, delays


async def test_file_that_cannot_be_decoded_costs_its_own_playback(switch: Switch, files: Files) -> None:
    odd = files.put("odd.wav", odd_wav(bits=45))
    async with calling(switch.socket_url("/call"), vad=False, ambiance={"path": odd}) as client:
        bed = await client.wait("error")
        assert odd in bed["error"]
        await client.send("play", url=odd, playId="odd")
        error = await client.wait("error")
        assert (error["sender"], error["code"]) == ("play", 422)
        assert odd in error["error"]
        await client.wait("trackEnd", of("odd"))
        await client.send("tts", **spoken(500, 0.5), playId="well", endOfStream=True)
        await client.wait("trackEnd", of("well"))
        await client.hang_up()
