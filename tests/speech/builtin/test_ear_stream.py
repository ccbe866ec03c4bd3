import asyncio

import numpy as np
import pytest

from softswitch.speech.builtin import ear_stream
from softswitch.speech.builtin.completeness import likelihood
from softswitch.speech.builtin.ear_stream import COUNTERS, EarStream
from softswitch.speech.builtin.items import Items
from softswitch.speech.builtin.workers import WorkerPool
from softswitch.speech.interface import (
    AsrDelta,
    AsrFinal,
    AsrOutput,
    AsrTurn,
    Grammar,
    SpeechError,
    SpeechMetric,
)

RATE = 16000


@pytest.fixture
async def pool():
    pool = WorkerPool("asr", "tests.speech.builtin.fake_ears", 2, speed=100.0)
    pool.counters |= dict.fromkeys(COUNTERS, 0)
    await pool.start()
    yield pool
    await pool.close()


@pytest.fixture
async def stream(pool):
    stream = make(pool)
    yield stream
    stream.close()


def make(pool, items=None, sample_rate=RATE):
    return EarStream("builtin", pool, items, sample_rate=sample_rate, clock=lambda: 5.0)


def tone(seconds, rate=RATE, level=5000):
    at = np.arange(int(seconds * rate)) / rate
    return (np.where(np.sin(2 * np.pi * 300 * at) >= 0, 1, -1) * level).astype("<i2").tobytes()


def silence(seconds, rate=RATE):
    return bytes(2 * int(seconds * rate))


def say(stream, *pieces):
    for piece in pieces:
        for begin in range(0, len(piece), 640):
            stream.push(piece[begin : begin + 640])


async def until(stream, kind):
    """Return what comes up to the first output of a kind."""
    found = []
    async with asyncio.timeout(60):
        async for output in stream:
            found.append(output)
            if isinstance(output, kind):
                return found
    raise AssertionError(found)


async def test_text_and_turn_come_at_a_pause_and_the_final_at_its_end(stream):
    say(stream, silence(0.4), tone(0.5), silence(0.26))
    outputs: list[AsrOutput] = []
    while len({type(output) for output in outputs} & {AsrTurn, AsrDelta}) < 2:
        outputs += await until(stream, AsrTurn | AsrDelta)
    (delta,) = (output for output in outputs if isinstance(output, AsrDelta))
    (turn,) = (output for output in outputs if isinstance(output, AsrTurn))
    assert delta.text == "w0 w1 w2 w3 w4"
    assert delta.start_ms <= 400 < 900 <= delta.end_ms < 1000
    assert turn.probability == 0.875
    assert 900 <= turn.end_ms < 1000
    jobs = stream._pool.counters["asr_jobs"]
    stream.finalize()
    (final,) = (output for output in await until(stream, AsrFinal) if isinstance(output, AsrFinal))
    assert (final.index, final.text, final.confidence) == (0, "w0 w1 w2 w3 w4", 0.75)
    assert stream._pool.counters["asr_jobs"] == jobs  # The final was there already.
    metric = (await until(stream, SpeechMetric))[-1]
    assert (metric.key, metric.duration_ms) == ("completed.asr.builtin", 0)


async def test_a_turn_is_judged_by_its_words_too(stream):
    say(stream, silence(0.4), tone(0.6), silence(0.26))
    complete = (await until(stream, AsrTurn))[-1]
    stream.finalize()
    await until(stream, AsrFinal)
    say(stream, silence(0.4), tone(0.7), silence(0.26))
    cut_off = (await until(stream, AsrTurn))[-1]
    assert complete.probability == likelihood((2.0, 0.0, 0.0), complete=True) > 0.95
    assert cut_off.probability == likelihood((2.0, 0.0, 0.0), complete=False) < 0.95


async def test_silence_ends_an_utterance_by_itself(stream):
    say(stream, silence(0.3), tone(0.3), silence(1.0), tone(0.2), silence(1.0))
    finals: list[AsrFinal] = []
    while len(finals) < 2:
        finals += [output for output in await until(stream, AsrFinal) if isinstance(output, AsrFinal)]
    assert [(final.index, final.text) for final in finals] == [(0, "w0 w1 w2"), (1, "w0 w1")]


async def test_partial_texts_come_while_speech_goes_on_and_are_the_draft_of_the_next(stream):
    say(stream, silence(0.3), tone(1.2))
    delta = (await until(stream, AsrDelta))[-1]
    assert len(delta.text.split()) >= 7
    say(stream, tone(1.2))
    delta = (await until(stream, AsrDelta))[-1]
    assert len(delta.text.split()) >= 16
    assert stream._current.result["draft"] >= 7


async def test_speech_after_a_pause_is_heard_anew(stream):
    say(stream, silence(0.3), tone(0.3), silence(0.3))
    await until(stream, AsrTurn)
    say(stream, tone(0.3), silence(0.04))
    stream.finalize()
    final = (await until(stream, AsrFinal))[-1]
    assert final.text == "w0 w1 w2 w3 w4 w5"


async def test_long_speech_ends_at_a_short_pause(stream, monkeypatch):
    say(stream, silence(0.3), tone(ear_stream.LONG_S), silence(0.4), tone(0.3), silence(0.26))
    stream.finalize()
    finals = [output for output in await until(stream, AsrFinal) if isinstance(output, AsrFinal)]
    finals += [output for output in await until(stream, AsrFinal) if isinstance(output, AsrFinal)]
    assert len(finals[0].text.split()) >= 79
    assert finals[1].text == "w0 w1 w2"


async def test_noise_without_words_says_nothing(pool):
    stream = make(pool)
    say(stream, silence(0.3), tone(0.3, level=450), silence(1.0))
    say(stream, tone(0.3), silence(1.0))
    finals = [output for output in await until(stream, AsrFinal) if isinstance(output, AsrFinal)]
    assert [final.text for final in finals] == ["w0 w1 w2"]
    assert finals[0].index == 0
    stream.close()


async def test_other_rates_are_converted(pool):
    stream = make(pool, sample_rate=8000)
    say(stream, silence(0.3, 8000), tone(0.5, 8000), silence(0.26, 8000))
    stream.finalize()
    assert (await until(stream, AsrFinal))[-1].text == "w0 w1 w2 w3 w4"
    stream.close()


async def test_a_phrase_is_told_and_what_fits_none_is_rejected(pool):
    stream = make(pool, Items(Grammar("phrases", ("yes", "never"))))
    say(stream, silence(0.3), tone(0.3), silence(0.26))
    stream.finalize()
    outputs = await until(stream, AsrFinal)
    assert not any(type(output) is AsrDelta for output in outputs)
    assert (outputs[-1].text, outputs[-1].match, outputs[-1].rejected) == ("yes", "yes", False)
    assert outputs[-1].confidence > 0.5
    say(stream, silence(0.3), tone(1.5), silence(0.26))
    stream.finalize()
    final = (await until(stream, AsrFinal))[-1]
    assert (final.text, final.match, final.rejected, final.index) == ("", "", True, 1)
    stream.close()


async def test_a_failure_is_told_and_the_next_utterance_understood(stream):
    say(stream, silence(0.3), tone(0.3, level=30000), silence(1.0))
    assert (await until(stream, SpeechError))[-1].code == 500
    say(stream, tone(0.3), silence(1.0))
    assert (await until(stream, AsrFinal))[-1].text == "w0 w1 w2"


async def test_a_full_pool_is_told_as_busy(pool, monkeypatch):
    stream = make(pool)
    monkeypatch.setattr(pool, "wait_s", lambda _rank: 60.0)
    say(stream, silence(0.3), tone(0.3), silence(1.0))
    error = (await until(stream, SpeechError))[-1]
    assert (error.sender, error.code) == ("asr", 503)
    stream.close()


async def test_too_many_utterances_that_wait_are_dropped_and_told(pool, monkeypatch, tmp_path):
    mark = tmp_path / "hold"
    mark.touch()
    monkeypatch.setenv("SOFTSWITCH_TEST_HOLD", str(mark))
    await pool.start()
    stream = make(pool)
    for _ in range(8):
        say(stream, tone(0.3), silence(1.0))
        await asyncio.sleep(0)
    assert pool.counters["asr_utterances_dropped"] >= 1
    mark.unlink()
    assert (await until(stream, SpeechError))[-1].code == 503
    stream.close()


async def test_a_closed_stream_yields_nothing_and_withdraws_its_jobs(pool):
    stream = make(pool)
    say(stream, silence(0.3), tone(0.3), silence(0.26))
    stream.close()
    assert [output async for output in stream] == []
    stream.push(tone(0.3))
    async with asyncio.timeout(10):
        while stream._jobs:
            await asyncio.sleep(0)
