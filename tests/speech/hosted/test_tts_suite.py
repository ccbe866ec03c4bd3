"""The conformance suite of synthesis: each protocol against a server on loopback, both event loops."""

import asyncio
import logging

import pytest

from softswitch.speech.interface import (
    Meter,
    SpeechBusyError,
    SpeechError,
    SpeechMetric,
    TtsAudio,
    TtsDone,
    TtsMark,
    TtsOptions,
)
from tests.speech.hosted.conformance import bench
from tests.speech.hosted.vendor import KEY, speech
from tests.speech.hosted.vendors_tts import (
    HTTP,
    REUSABLE,
    SOCKETS,
    TELLS,
    TTS,
    Cartesia,
    DeepgramSpeak,
    ElevenLabs,
    OpenAi,
    OpenAiWav,
    Tencent,
    Wyoming,
)

OPTIONS = TtsOptions(voice="nova", language="en-US", sample_rate=24000)
ONE, TWO = "This is the first sentence.", "And here comes another one."

every = pytest.mark.parametrize("make", TTS, ids=lambda make: make.__name__)


async def collect(stream):
    """Return everything that a stream gives."""
    async with asyncio.timeout(60):
        return [output async for output in stream]


def audio(outputs):
    return b"".join(output.pcm for output in outputs if isinstance(output, TtsAudio))


@pytest.mark.each_loop
@every
async def test_texts_are_spoken_whole_in_order_and_counted(make):
    meter = Meter()
    async with bench(make) as desk:
        stream = await desk.provider.open_tts(
            TtsOptions(voice="nova", language="en-US", sample_rate=24000, meter=meter)
        )
        stream.push_text(f"{ONE} {TWO}")
        stream.flush()
        outputs = await collect(stream)
        assert not [output for output in outputs if isinstance(output, SpeechError)]
        assert desk.vendor.seen.texts == [ONE, TWO]
        pieces = [output for output in outputs if isinstance(output, TtsAudio)]
        rate = pieces[0].sample_rate
        assert rate == (22050 if make is Wyoming else 24000)
        assert [piece.text for piece in pieces if piece.text] == [ONE, TWO]
        pause = bytes(2 * int(0.18 * rate))
        assert audio(outputs) == speech(ONE, rate) + pause + speech(TWO, rate)
        assert isinstance(outputs[-1], TtsDone)
        assert desk.vendor.seen.problems == []
        assert meter.of("acme").characters == len(ONE) + len(TWO) == desk.counters.characters
        assert desk.counters.active == 0


@every
async def test_first_audio_comes_before_the_text_is_whole(make):
    async with bench(make) as desk:
        stream = await desk.provider.open_tts(OPTIONS)
        stream.push_text(f"{ONE} And then")
        async with asyncio.timeout(60):
            async for output in stream:
                if isinstance(output, SpeechMetric):
                    assert output.key == "ttfb.tts.acme"
                    break
        stream.push_text(" it goes on.")
        stream.flush()
        await collect(stream)
        assert desk.vendor.seen.texts[0] == ONE
        assert " ".join(desk.vendor.seen.texts[1:]) == "And then it goes on."


@pytest.mark.parametrize("make", REUSABLE, ids=lambda make: make.__name__)
async def test_one_connection_serves_many_texts(make):
    async with bench(make) as desk:
        for text in (ONE, TWO, "A third."):
            stream = await desk.provider.open_tts(OPTIONS)
            stream.push_text(text)
            stream.flush()
            await collect(stream)
        assert desk.vendor.seen.connections == 1
        assert desk.vendor.seen.problems == []


async def test_next_connection_is_opened_while_one_speaks():
    async with bench(Tencent) as desk:
        stream = await desk.provider.open_tts(OPTIONS)
        stream.push_text(f"{ONE} {TWO}")
        stream.flush()
        await collect(stream)
        assert desk.providers.connections() == {"connections_opened": 3, "connections_reused": 2}


@every
async def test_barge_in_stops_the_vendor(make):
    async with bench(make) as desk:
        desk.vendor.pause_s = 0.01
        stream = await desk.provider.open_tts(OPTIONS)
        stream.push_text(
            "A very long sentence that takes a while to be spoken to its end, and then some more."
        )
        async with asyncio.timeout(60):
            while not desk.vendor.seen.texts:
                desk.vendor.seen.news.clear()
                await desk.vendor.seen.news.wait()
            stream.cancel()
            assert await collect(stream) == []
            if make in TELLS or make in HTTP:
                while not desk.vendor.seen.cancelled:
                    desk.vendor.seen.news.clear()
                    await desk.vendor.seen.news.wait()
            else:
                await desk.vendor.seen.closed.wait()
        assert desk.counters.cancelled == 1
        assert desk.counters.active == 0


@pytest.mark.parametrize("make", SOCKETS, ids=lambda make: make.__name__)
async def test_garbage_is_counted_and_left_out(make):
    async with bench(make) as desk:
        desk.vendor.trouble.garbage = True
        stream = await desk.provider.open_tts(OPTIONS)
        stream.push_text(ONE)
        stream.flush()
        outputs = await collect(stream)
        rate = next(output.sample_rate for output in outputs if isinstance(output, TtsAudio))
        assert audio(outputs) == speech(ONE, rate)
        assert desk.counters.unreadable > 0


@pytest.mark.parametrize("make", HTTP, ids=lambda make: make.__name__)
async def test_garbage_instead_of_audio_is_an_error(make):
    async with bench(make) as desk:
        desk.vendor.trouble.garbage = True
        stream = await desk.provider.open_tts(OPTIONS)
        stream.push_text(ONE)
        stream.flush()
        outputs = await collect(stream)
        errors = [output for output in outputs if isinstance(output, SpeechError)]
        if make.__name__ == "Azure":
            # Raw PCM has no mark; what is no audio is heard as noise.
            return
        assert len(errors) == 1
        assert not audio(outputs)
        assert desk.counters.unreadable == 1


@every
async def test_vendor_that_gives_nothing_is_an_error_in_time(make):
    async with bench(make, timeout_s=0.3) as desk:
        desk.vendor.trouble.mute = True
        stream = await desk.provider.open_tts(OPTIONS)
        stream.push_text(ONE)
        stream.flush()
        errors = [output for output in await collect(stream) if isinstance(output, SpeechError)]
        assert len(errors) == 1
        assert "within 0.3 s" in errors[0].error
        assert desk.counters.failed == 1


@pytest.mark.parametrize("make", [one for one in TTS if one is not Wyoming], ids=lambda make: make.__name__)
@pytest.mark.parametrize("status", [401, 429, 500])
async def test_refusal_is_told_without_the_key(make, status, caplog):
    caplog.set_level(logging.DEBUG)
    async with bench(make) as desk:
        desk.vendor.trouble.status = status
        stream = await desk.provider.open_tts(OPTIONS)
        stream.push_text(ONE)
        stream.flush()
        errors = [output for output in await collect(stream) if isinstance(output, SpeechError)]
        assert len(errors) == 1
        assert str(status) in errors[0].error
        assert "acme" in errors[0].error
        assert errors[0].code == (503 if status == 429 else 500)
        assert KEY not in errors[0].error
        assert KEY not in caplog.text
        assert "ignature=" not in caplog.text


@every
async def test_speech_cut_in_mid_word_is_an_error_and_the_next_text_works(make):
    async with bench(make) as desk:
        desk.vendor.trouble.cut_after_ms = 100
        stream = await desk.provider.open_tts(OPTIONS)
        stream.push_text(f"{ONE} {TWO}")
        stream.flush()
        outputs = await collect(stream)
        errors = [output for output in outputs if isinstance(output, SpeechError)]
        assert len(errors) == 1
        assert [output.text for output in outputs if isinstance(output, TtsAudio) and output.text][-1] == TWO
        rate = next(output.sample_rate for output in outputs if isinstance(output, TtsAudio))
        assert audio(outputs).endswith(speech(TWO, rate))


async def test_kept_connection_that_the_vendor_closed_is_replaced():
    async with bench(DeepgramSpeak) as desk:
        for text in (ONE, TWO):
            stream = await desk.provider.open_tts(OPTIONS)
            stream.push_text(text)
            stream.flush()
            outputs = await collect(stream)
            assert audio(outputs) == speech(text, 24000)
            # The server is gone without a word: the next text finds out.
            await desk.vendor.break_off()
        assert desk.counters.failed == 0


async def test_no_more_than_the_concurrency_of_the_settings():
    async with bench(DeepgramSpeak, concurrency=1) as desk:
        desk.vendor.pause_s = 0.01
        stream = await desk.provider.open_tts(OPTIONS)
        stream.push_text(ONE)
        async with asyncio.timeout(60):
            while not desk.vendor.seen.texts:
                desk.vendor.seen.news.clear()
                await desk.vendor.seen.news.wait()
        with pytest.raises(SpeechBusyError, match="'acme' is busy"):
            await desk.provider.open_tts(OPTIONS)
        stream.cancel()


@pytest.mark.parametrize("make", [Cartesia, ElevenLabs])
async def test_words_have_times(make):
    async with bench(make) as desk:
        stream = await desk.provider.open_tts(OPTIONS)
        stream.push_text(ONE)
        stream.flush()
        marks = [output for output in await collect(stream) if isinstance(output, TtsMark)]
        assert marks[0] == TtsMark("hi", 10 if make is Cartesia else 0)


async def test_wav_header_is_read_and_left_out():
    async with bench(OpenAiWav) as desk:
        stream = await desk.provider.open_tts(OPTIONS)
        stream.push_text(ONE)
        stream.flush()
        outputs = await collect(stream)
        assert audio(outputs) == speech(ONE, 16000)
        assert {output.sample_rate for output in outputs if isinstance(output, TtsAudio)} == {16000}


async def test_sentence_spoken_before_costs_nothing():
    async with bench(OpenAi) as desk:
        for _ in range(2):
            stream = await desk.provider.open_tts(OPTIONS)
            stream.push_text(ONE)
            stream.flush()
            assert audio(await collect(stream)) == speech(ONE, 24000)
        assert desk.vendor.seen.texts == [ONE]
        assert desk.counters.characters == len(ONE)
