"""The conformance suite of recognition: each protocol against a server on loopback, both event loops."""

import asyncio
import logging

import pytest

from softswitch.speech.hosted.asr_stream import LEAD_MS
from softswitch.speech.hosted.errors import VendorError
from softswitch.speech.interface import (
    AsrFinal,
    AsrOptions,
    AsrTurn,
    Meter,
    SpeechBusyError,
    SpeechError,
    SpeechMetric,
)
from tests.speech.hosted.conformance import bench, say, until_error, until_final
from tests.speech.hosted.vendor import KEY, quiet, tone, words
from tests.speech.hosted.vendors_asr import (
    ASR,
    HTTP,
    REALTIME,
    SOCKETS,
    DeepgramFlux,
    DeepgramListen,
    OpenAiRealtime,
    OpenAiRest,
    Wyoming,
)

OPTIONS = AsrOptions(language="en-US")

every = pytest.mark.parametrize("make", ASR, ids=lambda make: make.__name__)
sockets = pytest.mark.parametrize("make", SOCKETS, ids=lambda make: make.__name__)


@pytest.mark.each_loop
@every
async def test_utterances_come_in_order_whole_and_counted(make):
    meter = Meter()
    async with bench(make) as desk:
        stream = await desk.provider.open_asr(AsrOptions(language="en-US", meter=meter))
        say(stream, 600)
        deltas, first = await until_final(stream)
        say(stream, 300)
        _, second = await until_final(stream)
        stream.close()
        assert (first.index, first.text) == (0, words(600))
        assert (second.index, second.text) == (1, words(300))
        assert first.end_ms <= second.end_ms <= 1320
        if make in SOCKETS:
            assert deltas
            assert all(first.text.startswith(delta.text) for delta in deltas)
            assert all(delta.index == 0 for delta in deltas)
        assert desk.vendor.seen.problems == []
        assert meter.of("acme").seconds == pytest.approx(desk.counters.seconds)
        assert desk.counters.seconds >= 0.9
        assert desk.counters.active == 0


@every
async def test_measurements_say_how_long_it_took(make):
    async with bench(make) as desk:
        stream = await desk.provider.open_asr(OPTIONS)
        say(stream, 300)
        keys = []
        async with asyncio.timeout(60):
            async for output in stream:
                if isinstance(output, SpeechMetric):
                    keys.append(output.key)
                    assert 0 <= output.duration_ms < 20_000
                if len(keys) == 2:
                    break
        assert keys == ["ttfb.asr.acme", "completed.asr.acme"]
        stream.close()


@every
async def test_silence_is_no_utterance_and_no_error(make):
    async with bench(make) as desk:
        stream = await desk.provider.open_asr(OPTIONS)
        for _ in range(20):
            stream.push(quiet(20))
        stream.finalize()
        say(stream, 300)
        _, final = await until_final(stream)
        assert (final.index, final.text) == (0, words(300))
        stream.close()


@sockets
async def test_garbage_is_counted_and_left_out(make):
    async with bench(make) as desk:
        desk.vendor.trouble.garbage = True
        stream = await desk.provider.open_asr(OPTIONS)
        say(stream, 300)
        _, final = await until_final(stream)
        assert final.text == words(300)
        assert desk.counters.unreadable > 0
        stream.close()


@pytest.mark.parametrize("make", HTTP, ids=lambda make: make.__name__)
async def test_garbage_instead_of_an_answer_is_an_error(make):
    async with bench(make) as desk:
        desk.vendor.trouble.garbage = True
        stream = await desk.provider.open_asr(OPTIONS)
        say(stream, 300)
        assert (await until_error(stream)).code == 502


@every
async def test_vendor_that_gives_nothing_is_an_error_in_time(make):
    async with bench(make, timeout_s=0.3) as desk:
        desk.vendor.trouble.mute = True
        stream = await desk.provider.open_asr(OPTIONS)
        say(stream, 300)
        desk.vendor.trouble.mute = True
        if not await _answers(stream):
            # Where silence of the vendor may mean silence of the speaker, nothing is awaited.
            assert make.__name__ == "DeepgramFlux"
            stream.close()
            return
        assert desk.counters.failed == 1


async def _answers(stream):
    """Return whether the stream ends with a 504; False where it goes on without an answer."""
    try:
        async with asyncio.timeout(3):
            async for output in stream:
                if isinstance(output, SpeechError):
                    assert output.code == 504
                    return True
    except TimeoutError:
        return False
    raise AssertionError("the stream ended without an error")


@pytest.mark.parametrize("make", [one for one in ASR if one is not Wyoming], ids=lambda make: make.__name__)
@pytest.mark.parametrize("status", [401, 429, 500])
async def test_refusal_is_told_without_the_key(make, status, caplog):
    caplog.set_level(logging.DEBUG)
    async with bench(make, timeout_s=5.0) as desk:
        desk.vendor.trouble.status = status
        error: Exception | SpeechError
        try:
            stream = await desk.provider.open_asr(OPTIONS)
        except (VendorError, SpeechBusyError) as refused:
            error = refused
            assert make in SOCKETS
        else:
            say(stream, 300)
            error = await until_error(stream)
        assert error.code == {401: 401, 429: 503, 500: 500}[status]
        assert KEY not in str(error)
        assert KEY not in caplog.text
        assert "acme" in str(error)
    assert desk.counters.active == 0


@every
async def test_connection_cut_in_mid_word_loses_nothing(make):
    async with bench(make) as desk:
        desk.vendor.trouble.cut_after_ms = 250
        stream = await desk.provider.open_asr(OPTIONS)
        say(stream, 600)
        _, final = await until_final(stream)
        assert final.text == words(600)
        assert desk.counters.reconnects == 1
        stream.close()


@pytest.mark.parametrize("make", REALTIME, ids=lambda make: make.__name__)
async def test_audio_is_sent_in_real_time_where_the_vendor_wants_it(make):
    async with bench(make) as desk:
        stream = await desk.provider.open_asr(OPTIONS)
        say(stream, 1500)
        await until_final(stream)
        stream.close()
        begin = desk.vendor.seen.audio_at[0][0]
        sent = 0
        for at, length_ms in desk.vendor.seen.audio_at:
            # A busy machine makes the gaps longer, never shorter.
            assert sent <= (at - begin) * 1000 + LEAD_MS + 200
            sent += length_ms
        assert sent >= 1700


@sockets
async def test_server_that_closes_while_nothing_is_said_is_no_failure(make):
    async with bench(make) as desk:
        stream = await desk.provider.open_asr(OPTIONS)
        say(stream, 300)
        _, first = await until_final(stream)
        await asyncio.sleep(0.05)
        say(stream, 400)
        _, second = await until_final(stream)
        assert (first.text, second.text) == (words(300), words(400))
        assert desk.counters.failed == 0
        stream.close()


async def test_no_more_than_the_concurrency_of_the_settings():
    async with bench(DeepgramListen, concurrency=1) as desk:
        stream = await desk.provider.open_asr(OPTIONS)
        with pytest.raises(SpeechBusyError, match=r"'acme' is busy: 1 .*concurrency"):
            await desk.provider.open_asr(OPTIONS)
        assert desk.counters.busy == 1
        stream.close()
        (await desk.provider.open_asr(OPTIONS)).close()


async def test_stream_that_is_closed_at_once_leaves_no_connection():
    async with bench(DeepgramListen) as desk:
        (await desk.provider.open_asr(OPTIONS)).close()
        async with asyncio.timeout(5):
            await desk.vendor.seen.closed.wait()
        assert desk.counters.active == 0


async def test_idle_connection_is_kept_alive(monkeypatch):
    monkeypatch.setattr("softswitch.speech.deepgram.listen.ListenAsr.keep_alive_s", 0.02)
    async with bench(DeepgramListen) as desk:
        stream = await desk.provider.open_asr(OPTIONS)
        async with asyncio.timeout(5):
            while desk.vendor.seen.kept_alive < 3:
                desk.vendor.seen.news.clear()
                await desk.vendor.seen.news.wait()
        say(stream, 300)
        assert (await until_final(stream))[1].text == words(300)
        stream.close()


async def test_end_of_the_stream_is_told_to_the_vendor():
    async with bench(DeepgramListen) as desk:
        stream = await desk.provider.open_asr(OPTIONS)
        say(stream, 300)
        await until_final(stream)
        stream.close()
        async with asyncio.timeout(5):
            await desk.vendor.seen.closed.wait()
        assert desk.vendor.seen.cancelled == 1


async def test_vendor_that_breaks_each_connection_is_given_up():
    class Breaks(DeepgramListen):
        def heard(self, length_ms):
            super().heard(length_ms)
            return True

    async with bench(Breaks) as desk:
        stream = await desk.provider.open_asr(OPTIONS)
        say(stream, 300)
        error = await until_error(stream)
        assert error.code == 502
        assert "closed" in error.error
        assert desk.vendor.seen.connections == 3


async def test_audio_at_another_rate_is_resampled():
    async with bench(OpenAiRealtime) as desk:
        stream = await desk.provider.open_asr(AsrOptions(language="en", sample_rate=8000))
        stream.push(tone(500, 8000) + quiet(200, 8000))
        stream.finalize()
        _, final = await until_final(stream)
        assert len(final.text.split()) in (5, 6)
        stream.close()


async def test_rest_ends_an_utterance_by_itself():
    async with bench(OpenAiRest) as desk:
        stream = await desk.provider.open_asr(OPTIONS)
        pcm = quiet(200) + tone(500) + quiet(1200)
        for begin in range(0, len(pcm), 640):
            stream.push(pcm[begin : begin + 640])
        _, final = await until_final(stream)
        assert final.text == words(500)
        stream.close()


async def test_flux_says_that_the_turn_is_over():
    async with bench(DeepgramFlux) as desk:
        stream = await desk.provider.open_asr(OPTIONS)
        say(stream, 300)
        turns = []
        async with asyncio.timeout(60):
            async for output in stream:
                if isinstance(output, AsrTurn):
                    turns.append(output)
                if isinstance(output, AsrFinal):
                    break
        assert [turn.probability for turn in turns] == [0.4, 0.9]
        assert all(turn.end_ms <= 500 for turn in turns)
        stream.close()
