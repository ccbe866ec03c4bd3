"""Section 4: what the option of an invite may ask for."""

import asyncio
import io
import struct
import time
import uuid
import wave
from typing import Any

import aiohttp
import av
import numpy as np
import pytest

from tests.conformance.conftest import Switch
from tests.conformance.test_commands import of
from tests.support import sound
from tests.support.client import calling
from tests.support.servers import Files
from tests.support.waiting import until

SENTENCE = "Hello, this is a test. Can you hear me now?"


@pytest.mark.row("4:option-caller", "4:callee-label")
async def test_caller_and_callee_are_labels(switch: Switch, http: aiohttp.ClientSession) -> None:
    async with calling(switch.socket_url("/call", id="labels"), caller="123", callee="456") as client:
        async with http.get(switch.url("/call/labels")) as response:
            body = await response.json()
        assert (body["caller"], body["callee"]) == ("123", "456")
        hangup = await client.hang_up()
        assert (hangup["from"]["username"], hangup["to"]["username"]) == ("123", "456")


@pytest.mark.row("4:option-offer")
async def test_offer_on_call_is_ignored(switch: Switch) -> None:
    async with switch.client() as client:
        answer = await client.invite(offer="v=0\r\no=- 1234567890 2 IN IP4 127.0.0.1\r\n...")
        assert answer["sdp"] == ""
        await client.hang_up()


@pytest.mark.row(
    "4:vad-kinds", "4:option-vad", "8:speaking", "8:silence", "6:speaking-start", "6:silence-times"
)
@pytest.mark.parametrize("kind", ["silero", "webrtc", "energy"])
async def test_vad_tells_when_speech_began_and_ended(switch: Switch, kind: str) -> None:
    said = await switch.spoken(SENTENCE)
    async with calling(switch.socket_url("/call"), vad={"type": kind}) as client:
        await client.speak(sound.silence(0.5))
        began = time.time() * 1000
        await client.speak(said)
        ended = time.time() * 1000
        await client.speak(sound.silence(1.5))
        speaking = await client.wait("speaking")
        silence = client.all("silence")[-1]
        name = client.events[0]["trackId"]
        assert speaking["trackId"] == silence["trackId"] == name
        assert abs(speaking["startTime"] - began) < 800, speaking["startTime"] - began
        assert abs(silence["startTime"] - ended) < 900, silence["startTime"] - ended
        assert 0 <= silence["duration"] < 3000
        assert speaking["startTime"] <= silence["speechStart"] <= silence["startTime"]
        assert silence["speechDuration"] > 200
        await client.hang_up()


@pytest.mark.row("4:vad-default", "4:no-asr-default")
async def test_vad_is_on_and_asr_is_off_unless_asked(switch: Switch) -> None:
    said = await switch.spoken(SENTENCE)
    async with calling(switch.socket_url("/call")) as client:
        await client.speak(sound.join(sound.silence(0.3), said, sound.silence(1.2)))
        await client.wait("speaking")
        await client.wait("silence")
        await asyncio.sleep(1)
        assert client.count("asrDelta") == client.count("asrFinal") == 0
        await client.hang_up()


@pytest.mark.row("4:option-vad")
async def test_silence_timeout_repeats_silence(switch: Switch) -> None:
    said = await switch.spoken(SENTENCE)
    async with calling(switch.socket_url("/call"), vad={"silenceTimeout": 500}) as client:
        await client.speak(sound.join(sound.silence(0.3), said, sound.silence(3.0)))
        assert client.count("silence") >= 3
        durations = [event["duration"] for event in client.all("silence")]
        assert durations[-1] > 900
        await client.hang_up()


@pytest.mark.row("4:option-asr", "8:asrFinal", "8:asrDelta", "3:asr-times")
@pytest.mark.parametrize("route", ["/call", "/call/webrtc"])
async def test_asr_understands_what_is_said(switch: Switch, route: str) -> None:
    said = await switch.spoken("Hello, how can I help you?")
    async with switch.phone(route) as client:
        await client.call(asr={"provider": "builtin"})
        await asyncio.sleep(0.5)
        began = time.time() * 1000
        await client.speak(said)
        ended = time.time() * 1000
        await client.speak(sound.silence(1.5))
        final = await client.wait("asrFinal", timeout=30)
        assert final["text"].strip()
        assert final["startTime"] < final["endTime"]
        assert began - 1500 < final["startTime"] < ended
        assert final["endTime"] < ended + 1500
        deltas = client.all("asrDelta")
        assert deltas
        assert all(event["index"] == final["index"] for event in deltas[:1])
        await client.hang_up()


@pytest.mark.row("4:option-eou", "8:eou", "3:eou")
async def test_end_of_utterance_is_told(switch: Switch) -> None:
    said = await switch.spoken("Hello, how can I help you?")
    async with calling(switch.socket_url("/call"), asr={"provider": "builtin"}, eou={}) as client:
        await client.speak(sound.join(sound.silence(0.3), said, sound.silence(2.5)))
        eou = await client.wait("eou", timeout=30)
        assert eou["completed"] is eou["complete"]
        await client.hang_up()


@pytest.mark.row("4:option-denoise")
async def test_denoise_lets_speech_through(switch: Switch) -> None:
    said = await switch.spoken(SENTENCE)
    noise = np.random.default_rng(7).normal(0, 250, said.size)
    noisy = np.clip(said + noise, -32768, 32767).astype(np.int16)
    async with calling(switch.socket_url("/call"), denoise=True) as client:
        await client.speak(sound.join(sound.silence(0.4), noisy, sound.silence(1.2)))
        await client.wait("speaking")
        assert not client.count("error")
        await client.hang_up()


@pytest.mark.row("4:option-handshake")
@pytest.mark.parametrize("value", [30, "30", "30s", 2.5])
async def test_handshake_timeout_is_a_number_or_a_text(switch: Switch, value: object) -> None:
    async with switch.rtc() as client:
        await client.call(handshakeTimeout=value)
        await client.hang_up()


@pytest.mark.row("4:option-handshake")
async def test_handshake_that_never_comes_ends_the_call(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.invite(offer=await client.offer(candidates=False), handshakeTimeout=1)
        hangup = await client.wait("hangup", timeout=20)
        assert hangup["reason"] in {"error", "media_timeout"}
        await client.closed()


@pytest.mark.row("4:option-inactivity", "8:reasons")
async def test_inactivity_ends_the_call(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), inactivityTimeout=1, vad=False) as client:
        start = time.monotonic()
        await asyncio.sleep(0.5)
        await client.send("history", speaker="user", text="still here")
        hangup = await client.wait("hangup")
        assert hangup["reason"] == "inactivity"
        assert time.monotonic() - start > 1.3
        assert await client.closed() == 1000


@pytest.mark.row("4:option-subscribe")
async def test_subscribe_gives_both_sides_with_an_index(switch: Switch, files: Files) -> None:
    url = files.put("a.wav", sound.wav(sound.tone(500, 3)))
    async with calling(switch.socket_url("/call"), subscribe=True, vad=False) as client:
        await client.send("play", url=url)
        await client.wait("trackStart", of(url))
        await client.speak(sound.tone(1500, 1.5))
        await asyncio.sleep(0.2)
        sides = {0: b"", 1: b""}
        for _, data in client.audio:
            sides[data[0]] += data[1:]
        local, remote = sound.pcm(sides[0]), sound.pcm(sides[1])
        assert sound.share(local[-16000:], 500) > 0.8
        loud = remote[np.flatnonzero(np.abs(remote) > 500)[0] :]
        assert sound.share(loud[:16000], 1500) > 0.8
        await client.hang_up()


@pytest.mark.row("4:option-subscribe")
async def test_subscribe_works_on_webrtc_too(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call(subscribe=True, vad=False)
        await client.speak(sound.tone(1500, 1.5))
        await client.until(lambda: {data[0] for _, data in client.audio} >= {1})
        remote = sound.pcm(b"".join(data[1:] for _, data in client.audio if data[0] == 1))
        assert abs(sound.pitch(remote[-8000:]) - 1500) < 20
        await client.hang_up()


@pytest.mark.row("4:option-media-pass", "8:media-pass-raw")
@pytest.mark.parametrize(("rate", "size"), [(16000, 2560), (8000, 320)])
async def test_media_pass_carries_raw_audio_both_ways(
    switch: Switch, files: Files, rate: int, size: int
) -> None:
    option = {"url": files.url("media", "ws"), "inputSampleRate": rate, "outputSampleRate": rate}
    if size != 2560:
        option["packetSize"] = size
    async with calling(switch.socket_url("/call"), mediaPass=option, vad=False) as client:
        await until(lambda: files.streams, "the stream was not opened")
        stream = files.streams[0]
        talking = asyncio.ensure_future(client.speak(sound.tone(600, 3)))
        await until(lambda: len(stream.audio) > rate * 2, "the stream hears nothing")
        assert {len(data) for _, data in stream.messages} == {size}
        assert abs(sound.pitch(sound.pcm(stream.audio)[-rate // 2 :], rate) - 600) < 15
        said = sound.tone(1200, 1.5, rate).tobytes()
        for place in range(0, len(said), 1000):
            await stream.socket.send_bytes(said[place : place + 1000])
        await client.until(lambda: sound.share(client.heard()[-8000:], 1200) > 0.8)
        talking.cancel()
        await client.hang_up()
        await asyncio.wait_for(stream.over.wait(), 10)
        assert stream.texts == []


@pytest.mark.row("4:option-media-pass")
@pytest.mark.parametrize("url", ["ws://127.0.0.1:9/", "ws://169.254.169.254/", "ws://127.0.0.1:22/"])
async def test_media_pass_that_fails_is_an_error_and_the_call_lives(switch: Switch, url: str) -> None:
    async with calling(switch.socket_url("/call"), mediaPass={"url": url}, vad=False) as client:
        error = await client.wait("error")
        assert error["sender"] == "mediaPass"
        await client.send("mark", name="alive")
        await client.wait("mark")
        await client.hang_up()
    assert client.names()[0] == "answer"


@pytest.mark.row("4:option-ambiance")
async def test_ambiance_is_a_bed_under_speech(switch: Switch, files: Files) -> None:
    bed = files.put("bed.wav", sound.wav(sound.tone(300, 1.0, level=0.5)))
    url = files.put("voice.wav", sound.wav(sound.tone(1500, 1.5)))
    option = {"path": bed, "normalLevel": 0.4, "duckLevel": 0.1}
    async with calling(switch.socket_url("/call"), ambiance=option, vad=False) as client:
        await client.hear(0.3)
        alone = await client.hear(0.6)
        assert sound.share(alone, 300) > 0.9
        await client.send("play", url=url, playId="p")
        await client.wait("trackStart", of("p"))
        await client.hear(0.4)
        under = await client.hear(0.6)
        bed_alone = sound.share(alone, 300) * sound.level(alone) ** 2
        bed_under = sound.share(under, 300) * sound.level(under) ** 2
        assert sound.share(under, 1500) > 0.5
        assert bed_under < bed_alone / 4
        await client.wait("trackEnd", of("p"))
        await client.hear(0.5)
        assert sound.share(await client.hear(0.4), 300) > 0.9
        assert client.count("interruption") == 0
        await client.hang_up()


@pytest.mark.row("4:option-barge-in")
async def test_server_interrupts_itself_when_the_party_speaks(switch: Switch, files: Files) -> None:
    said = await switch.spoken(SENTENCE)
    url = files.put("a.wav", sound.wav(sound.tone(500, 12)))
    option = {"mode": "server", "minSpeechMs": 300, "fadeMs": 40}
    async with calling(switch.socket_url("/call"), bargeIn=option) as client:
        await client.send("play", url=url, playId="p")
        await client.wait("trackStart", of("p"))
        await client.speak(sound.join(sound.silence(0.4), said, sound.silence(0.8)))
        cut = await client.wait("interruption", of("p"))
        assert cut["position"] < 8000
        await client.wait("trackEnd", of("p"))
        await client.hang_up()


@pytest.mark.row("4:option-barge-in")
async def test_server_does_not_interrupt_itself_unless_asked(switch: Switch, files: Files) -> None:
    said = await switch.spoken(SENTENCE)
    url = files.put("a.wav", sound.wav(sound.tone(500, 20)))
    async with calling(switch.socket_url("/call")) as client:
        await client.send("play", url=url, playId="p")
        await client.wait("trackStart", of("p"))
        await client.speak(sound.join(sound.silence(0.4), said, sound.silence(0.8)))
        await client.wait("speaking")
        await client.send("mark", name="end")
        assert client.count("interruption") == 0
        await client.hang_up()


@pytest.mark.row("4:option-recorder", "4:recorder-format")
@pytest.mark.parametrize("kind", ["wav", "opus"])
async def test_recording_has_the_caller_left_and_the_machine_right(
    switch: Switch, files: Files, http: aiohttp.ClientSession, kind: str
) -> None:
    name = uuid.uuid4().hex
    url = files.put("a.wav", sound.wav(sound.tone(500, 2)))
    option = {"recorderFile": f"{name}.{kind}", "samplerate": 16000, "format": kind}
    async with calling(switch.socket_url("/call"), recorder=option, vad=False) as client:
        await client.send("play", url=url)
        await client.wait("trackStart", of(url))
        await client.speak(sound.tone(1500, 1.5))
        await client.wait("trackEnd", of(url))
        await client.hang_up()

    async def listed() -> dict[str, Any] | None:
        async with http.get(switch.url("/recordings")) as response:
            body = await response.json()
        found = [one for one in body["recordings"] if one["name"].startswith(name)]
        return found[0] if found else None

    async with asyncio.timeout(60):
        while (entry := await listed()) is None:
            await asyncio.sleep(0.05)
    assert entry["durationMs"] > 1500
    async with http.get(switch.url(f"/recordings/{entry['name']}")) as response:
        content = await response.read()
    left, right, rate = stereo(content)
    assert sound.share(left[np.flatnonzero(np.abs(left) > 500)[0] :][:16000], 1500, rate) > 0.8
    assert sound.share(right[np.flatnonzero(np.abs(right) > 500)[0] :][:16000], 500, rate) > 0.8
    async with http.delete(switch.url(f"/recordings/{entry['name']}")) as response:
        assert response.status == 200
    async with http.get(switch.url(f"/recordings/{entry['name']}")) as response:
        assert response.status == 404


def stereo(content: bytes) -> tuple[sound.Pcm, sound.Pcm, int]:
    """Return both channels of a recording, and its rate."""
    with av.open(io.BytesIO(content), "r") as file:
        rate = 16000
        resampler = av.AudioResampler("s16", "stereo", rate)
        pieces = [
            piece.to_ndarray().reshape(-1, 2)
            for frame in file.decode(audio=0)
            for piece in resampler.resample(frame)
        ]
    both = np.concatenate(pieces).astype(np.int16)
    return both[:, 0], both[:, 1], rate


@pytest.mark.row("4:recorder-below-folder")
@pytest.mark.parametrize(
    "wish", ["/etc/cron.d/x.wav", "../../escaped.wav", "a/b/c.wav", "..", "\x00", "x" * 900]
)
async def test_recording_lies_below_its_folder_whatever_is_wished(switch: Switch, wish: str) -> None:
    above = switch.data.parent
    before = {path for path in above.rglob("*") if switch.data / "recordings" not in path.parents}
    async with calling(switch.socket_url("/call"), recorder={"recorderFile": wish}, vad=False) as client:
        await client.speak(sound.tone(500, 0.5))
        await client.hang_up()
    await asyncio.sleep(0.2)
    after = {path for path in above.rglob("*") if switch.data / "recordings" not in path.parents}
    assert {path.name for path in after - before} <= {f"{client.events[0]['trackId']}.jsonl", "dumps"}
    assert list((switch.data / "recordings").iterdir())


@pytest.mark.row("4:option-recorder")
async def test_recording_is_readable_when_the_rate_is_another(switch: Switch) -> None:
    name = uuid.uuid4().hex
    option = {"recorderFile": name, "samplerate": 8000}
    async with calling(switch.socket_url("/call"), recorder=option, vad=False) as client:
        await client.speak(sound.tone(500, 1.0))
        await client.hang_up()
    path = switch.data / "recordings" / f"{name}.wav"
    await until(path.exists, "there is no recording")
    await asyncio.sleep(0.5)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (8000, 2)
        assert file.getnframes() > 7000
    assert struct.unpack("<I", path.read_bytes()[4:8])[0] == path.stat().st_size - 8


@pytest.mark.row("8:media")
async def test_missing_media_is_told_on_a_leg_of_rtp(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call(vad=False)
        client.fall_silent()
        media = await client.wait("media", timeout=20)
        assert media["state"] == "none"
        assert 2 <= media["seconds"] <= 8
        await client.hang_up()
