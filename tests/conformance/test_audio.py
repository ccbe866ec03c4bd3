"""Section 5: audio in the socket of `/call`."""

import asyncio
import time

import aiohttp
import numpy as np
import pytest

from tests.conformance.conftest import Switch
from tests.support import sound
from tests.support.bots import Bot
from tests.support.client import Client, calling


@pytest.mark.row("5:raw-binary", "5:pcm-16k", "5:answer-audio", "4:callee-tone", "8:binary")
async def test_audio_is_raw_pcm_at_16_khz(switch: Switch) -> None:
    async with switch.client() as client:
        answer = await client.invite(callee="tone", vad=False)
        assert answer["audio"] == {"codec": "pcm", "sampleRate": 16000, "ptime": 20}
        heard = await client.hear(1.0)
        assert all(len(data) == 640 for _, data in client.audio)
        assert sound.level(heard) > 300
        assert 100 < sound.pitch(heard) < 3000
        await client.hang_up()


@pytest.mark.row("5:samplerate", "4:option-samplerate", "4:spellings")
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("key", ["samplerate", "sampleRate"])
async def test_audio_has_the_rate_asked_for(switch: Switch, rate: int, key: str) -> None:
    async with switch.client() as client:
        answer = await client.invite(callee="echo", vad=False, **{key: rate})
        assert answer["audio"] == {"codec": "pcm", "sampleRate": rate, "ptime": 20}
        await client.speak(sound.tone(600, 1.2, rate), rate)
        heard = client.heard()
        assert len(client.audio[-1][1]) == rate // 50 * 2
        assert abs(sound.pitch(heard[heard.size // 2 :], rate) - 600) < 15
        await client.hang_up()


@pytest.mark.row("4:callee-echo", "5:any-size")
@pytest.mark.parametrize("size", [1, 3, 100, 641, 4096, 32000])
async def test_echo_returns_audio_that_comes_in_any_size(switch: Switch, size: int) -> None:
    said = sound.tone(700, 0.05 if size < 10 else 1.0).tobytes()
    async with calling(switch.socket_url("/call"), callee="echo", vad=False) as client:
        for place in range(0, len(said), size):
            await client.binary(said[place : place + size])
            await asyncio.sleep(min(size, 32000) / 32000 * 0.9 if size >= 100 else 0)
        await client.until(lambda: sound.loud_ms(client.heard()) > (700 if size >= 10 else 0))
        heard = client.heard()
        loud = heard[np.abs(heard.astype(np.int32)) > 100]
        if size >= 100:
            assert sound.share(heard[: heard.size // 320 * 320], 700, width=60) > 0.8
        assert loud.size
        assert not client.count("error")
        await client.hang_up()


@pytest.mark.row("5:pcmu", "5:pcma", "5:g722", "4:option-codec")
@pytest.mark.parametrize(
    ("codec", "name", "size", "rate"),
    [
        ("pcmu", "pcmu", 160, 8000),
        ("PCMA", "pcma", 160, 8000),
        ("g722", "g722", 160, 16000),
        ("G722", "g722", 160, 16000),
        ("PCM", "pcm", 640, 16000),
    ],
)
async def test_codec_may_be_chosen_in_any_case(
    switch: Switch, codec: str, name: str, size: int, rate: int
) -> None:
    async with switch.client() as client:
        answer = await client.invite(callee="tone", codec=codec, vad=False)
        assert answer["audio"]["codec"] == name
        assert answer["audio"]["sampleRate"] in {rate, 8000 if name == "g722" else rate}
        await client.until(lambda: len(client.audio) > 20)
        assert {len(data) for _, data in client.audio} == {size}
        if name in {"pcmu", "pcma"}:
            quiet = {0xFF, 0x7F} if name == "pcmu" else {0xD5, 0x55}
            assert {byte for _, data in client.audio for byte in data} - quiet, "it is not silence"
        await client.hang_up()


def ulaw(sample: int) -> int:
    """Encode one sample by the rule of G.711 as its own check of the tables."""
    magnitude = min(abs(sample) >> 2, 8158) + 33
    exponent = max(0, magnitude.bit_length() - 6)
    code = exponent << 4 | (magnitude >> (exponent + 1)) & 15
    return ~(code | (0x80 if sample < 0 else 0)) & 0xFF


@pytest.mark.row("4:callee-stream")
async def test_callee_may_be_a_service_that_hears_and_speaks(switch: Switch) -> None:
    async with Bot() as bot, Client(switch.socket_url("/call")) as client:
        await client.invite(callee=f"stream:{bot.url()}", vad=False)
        stream = await bot.stream()
        await client.speak(sound.tone(440, 1.0))
        await stream.until(lambda: sound.loud_ms(stream.heard(), 24000, 1000) > 500)
        await stream.speak(sound.tone(1000, 1.0, 24000))
        await client.until(lambda: sound.loud_ms(client.heard(), 16000, 1000) > 500)
        assert sound.share(client.heard(), 1000) > 0.6
        # The service is the callee: when it leaves, the call is over.
        await stream.socket.close()
        assert (await client.wait("hangup"))["initiator"] == "callee"


@pytest.mark.row("4:callee-stream")
async def test_callee_that_is_no_service_is_told_and_the_call_lives(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), callee="stream:ftp://example.org/", vad=False) as client:
        assert "stream:ftp" in (await client.wait("error"))["error"]
        await client.hang_up()


@pytest.mark.row("5:pcmu", "4:callee-echo")
async def test_echo_of_pcmu_comes_back_as_pcmu(switch: Switch) -> None:
    said = bytes(ulaw(int(sample)) for sample in sound.tone(500, 1, 8000))
    async with calling(switch.socket_url("/call"), callee="echo", codec="pcmu", vad=False) as client:
        for place in range(0, len(said), 160):
            await client.binary(said[place : place + 160])
            await asyncio.sleep(0.018)
        known = {ulaw(value): value for value in range(-32000, 32001, 8)}

        def decoded() -> sound.Pcm:
            data = b"".join(data for _, data in client.audio)
            return np.array([known.get(byte, 0) for byte in data], np.int16)

        await client.until(lambda: sound.loud_ms(decoded(), 8000) > 700)
        assert sound.share(decoded(), 500, 8000) > 0.9
        await client.hang_up()


@pytest.mark.row("5:pace")
async def test_audio_comes_every_20_ms_and_only_while_there_is_something_to_hear(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await asyncio.sleep(0.5)
        assert client.audio == []
        await client.send("tts", text="A sentence of some length, to be heard.", playId="p", endOfStream=True)
        end = await client.wait("trackEnd", lambda event: event.get("playId") == "p")
        await asyncio.sleep(0.5)
        times = [when for when, _ in client.audio]
        assert abs(len(times) * 20 - end["duration"]) < 200
        assert abs((times[-1] - times[0]) - (len(times) - 1) * 0.02) < 0.2
        await client.hang_up()


@pytest.mark.row("5:binary-events", "8:binary")
async def test_audio_comes_as_json_where_asked(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), callee="tone", binaryEvents=True, vad=False) as client:
        event = await client.wait("binary")
        assert client.audio == []
        await client.until(lambda: client.count("binary") >= 5)
        track = client.all("answer")[0]["trackId"]
        assert [one["seq"] for one in client.all("binary")][:5] == [1, 2, 3, 4, 5]
        assert {one["trackId"] for one in client.all("binary")} == {track}
        assert len(event["data"]) == 640
        assert all(isinstance(byte, int) and 0 <= byte <= 255 for byte in event["data"])
        await client.hang_up()


@pytest.mark.row("5:ignored-elsewhere")
async def test_binary_on_webrtc_is_ignored(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call(callee="echo", vad=False)
        for _ in range(20):
            await client.binary(sound.tone(900, 0.1).tobytes())
        await client.send("mark", name="alive")
        await client.wait("mark")
        assert not client.count("error")
        await client.hang_up()


@pytest.mark.row("5:ahead-60s")
async def test_audio_ahead_of_time_is_kept_up_to_a_bound_and_counted_beyond(
    switch: Switch, http: aiohttp.ClientSession
) -> None:
    async def dropped() -> float:
        async with http.get(switch.url("/metrics")) as response:
            text = await response.text()
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("softswitch_") and "feed" in line and "drop" in line and "created" not in line
        )

    before = await dropped()
    async with calling(switch.socket_url("/call"), callee="echo", vad=False) as client:
        start = time.monotonic()
        await client.binary(sound.join(sound.tone(500, 1), sound.silence(1.5), sound.tone(1500, 1)).tobytes())
        await client.until(lambda: sound.share(client.heard()[-8000:], 1500) > 0.9, timeout=20)
        assert time.monotonic() - start > 2.4, "it is played at the pace of speech"
        for _ in range(7):
            await client.binary(sound.silence(10).tobytes())
        await client.send("mark", name="alive")
        await client.wait("mark")
        await client.hang_up()
    assert await dropped() > before


@pytest.mark.row("5:control-first")
async def test_events_do_not_wait_behind_audio(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), callee="tone", samplerate=48000, vad=False) as client:
        await client.hear(0.2)
        delays = []
        for number in range(20):
            asked = time.monotonic()
            await client.send("mark", name=str(number))
            mark = await client.wait("mark")
            delays.append(client.when(mark) - asked)
        assert sorted(delays)[10] < 0.1, delays
        await client.hang_up()
