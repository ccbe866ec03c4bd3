import asyncio

import numpy as np
import pytest

from softswitch.audio.pcm import to_bytes
from softswitch.speech.builtin import asr_stream
from softswitch.speech.builtin import worker_wire as wire
from softswitch.speech.builtin.asr_pool import COUNTERS
from softswitch.speech.builtin.asr_stream import RecognitionStream
from softswitch.speech.builtin.fork_server import WorkerLostError
from softswitch.speech.interface import AsrDelta, AsrFinal, SpeechBusyError, SpeechError, SpeechMetric
from tests.audio.sounds import noise, voice

RATE = 16000


class Worker:
    """Hears everything, and says how much of it."""

    def __init__(self, pool):
        self.pool = pool
        self.option = None
        self.heard = 0
        self.takes = True
        self.results: asyncio.Queue = asyncio.Queue()

    def begin(self, option):
        self.option, self.heard = option, 0
        self.pool.options.append(option)

    def audio(self, pcm):
        self.heard += len(pcm) // 2
        if self.heard > RATE // 2:
            self.results.put_nowait((wire.DELTA, {"text": "so far", "start_ms": 100, "end_ms": 400}))
        return self.takes

    def end(self):
        self.pool.heard.append(self.heard)
        result = {"text": self.pool.says, "start_ms": 200, "end_ms": 900, "confidence": 0.5, "means": "1,2"}
        self.results.put_nowait((wire.FINAL, result | {"unknown": self.pool.unknown}))

    async def read(self):
        result = await self.results.get()
        if result is None:
            raise WorkerLostError("process 7 ended")
        return result


class Pool:
    """Lends one worker."""

    def __init__(self):
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.says = "hello"
        self.unknown = []
        self.options, self.heard, self.returned = [], [], []
        self.worker = Worker(self)
        self.failure = None
        self.open = asyncio.Event()
        self.open.set()

    async def borrow(self):
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return self.worker

    def give_back(self, worker, *, usable):
        self.returned.append(usable)


@pytest.fixture
def pool():
    return Pool()


@pytest.fixture
def opened(pool):
    streams = []

    def make(grammar="", sample_rate=RATE):
        stream = RecognitionStream("fake", pool, grammar, sample_rate=sample_rate, clock=lambda: 5.0)
        streams.append(stream)
        return stream

    yield make
    for stream in streams:
        stream.close()


def speech(seconds=1.0, rate=RATE):
    return to_bytes(np.concatenate((noise(rate // 2, 5), voice(seconds, rate))))


def silence(seconds, rate=RATE):
    return to_bytes(noise(int(rate * seconds), 5))


async def outputs_until_final(stream):
    got = []
    async with asyncio.timeout(60):
        async for output in stream:
            got.append(output)
            if isinstance(output, SpeechError) or (
                isinstance(output, SpeechMetric) and output.key.startswith("completed")
            ):
                return got
    raise AssertionError(got)


async def test_finalize_brings_the_final_with_its_place_in_the_stream(opened, pool):
    stream = opened()
    stream.push(speech())
    stream.finalize()
    got = await outputs_until_final(stream)
    final = next(output for output in got if isinstance(output, AsrFinal))
    assert (final.index, final.text, final.confidence) == (0, "hello", 0.5)
    begin_ms = final.start_ms - 200
    assert 200 <= begin_ms <= 500
    assert final.end_ms == begin_ms + 900
    assert pool.heard == [RATE * 3 // 2 - begin_ms * 16]
    assert pool.returned == [True]


async def test_pause_ends_an_utterance_by_itself(opened):
    stream = opened()
    stream.push(speech() + silence(1.0))
    assert any(isinstance(output, AsrFinal) for output in await outputs_until_final(stream))


async def test_partials_have_the_index_of_their_final(opened):
    stream = opened()
    for _ in range(2):
        stream.push(speech())
        stream.finalize()
    got = await outputs_until_final(stream) + await outputs_until_final(stream)
    texts = [(output.index, output.text) for output in got if isinstance(output, AsrDelta)]
    assert texts[0] == (0, "so far")
    assert (0, "hello") in texts
    assert texts[-1] == (1, "hello")
    assert [output.key for output in got if isinstance(output, SpeechMetric)] == [
        "ttfb.asr.fake",
        "completed.asr.fake",
    ] * 2
    measured = [output.data["index"] for output in got if isinstance(output, SpeechMetric)]
    assert measured == [0, 0, 1, 1]


async def test_later_utterances_begin_with_the_means_of_the_earlier_ones(opened, pool):
    stream = opened(grammar=("a", "b"))
    for _ in range(2):
        stream.push(speech())
        stream.finalize()
        await outputs_until_final(stream)
    assert pool.options == [
        {"grammar": ["a", "b"], "means": "", "narrow": False},
        {"grammar": ["a", "b"], "means": "1,2", "narrow": False},
    ]


async def test_finalize_in_silence_does_nothing(opened, pool):
    stream = opened()
    stream.push(silence(1.0))
    stream.finalize()
    await asyncio.sleep(0)
    assert pool.options == []


async def test_other_rates_and_odd_pieces_are_taken(opened, pool):
    stream = opened(sample_rate=8000)
    data = speech(rate=8000)
    for begin in range(0, len(data), 334):
        stream.push(data[begin : begin + 334])
    stream.finalize()
    await outputs_until_final(stream)
    assert pool.heard[0] == pytest.approx(RATE * 1.15, rel=0.15)
    assert pool.options[0]["narrow"]


async def test_empty_final_after_a_partial_takes_it_back(opened, pool):
    pool.says = ""
    stream = opened()
    stream.push(speech())
    stream.finalize()
    assert [output.text for output in await outputs_until_final(stream) if isinstance(output, AsrFinal)] == [
        ""
    ]


async def test_nothing_understood_is_nothing_told(opened, pool):
    pool.says = ""
    stream = opened()
    stream.push(speech(0.2))
    stream.finalize()
    pool.says = "second"
    await asyncio.sleep(0.01)
    stream.push(speech(0.2))
    stream.finalize()
    got = await outputs_until_final(stream)
    assert [(output.index, output.text) for output in got if isinstance(output, AsrFinal)] == [(0, "second")]


async def test_lost_worker_is_an_error_and_the_stream_goes_on(opened, pool):
    stream = opened()
    stream.push(speech())
    pool.worker.results.put_nowait(None)
    (error,) = [output for output in await outputs_until_final(stream) if isinstance(output, SpeechError)]
    assert (error.sender, error.code) == ("asr", 500)
    assert "process 7" in error.error
    assert pool.returned == [False]
    pool.worker = Worker(pool)
    stream.finalize()
    stream.push(speech())
    stream.finalize()
    assert any(isinstance(output, AsrFinal) for output in await outputs_until_final(stream))


async def test_busy_pool_is_an_error(opened, pool):
    pool.failure = SpeechBusyError("busy: 64 wait")
    stream = opened()
    stream.push(speech())
    (error,) = await outputs_until_final(stream)
    assert error == SpeechError("asr", "busy: 64 wait", 503)


async def test_worker_that_never_answers_is_given_up(opened, pool, monkeypatch):
    monkeypatch.setattr(asr_stream, "_PATIENCE_S", 0.01)
    pool.worker.end = lambda: None
    stream = opened()
    stream.push(speech(0.2))
    stream.finalize()
    (error,) = await outputs_until_final(stream)
    assert "too long" in error.error
    assert pool.returned == [False]


async def test_utterances_that_find_no_worker_are_bounded_and_counted(opened, pool):
    pool.open.clear()
    stream = opened()
    for _ in range(8):
        stream.push(speech(0.3))
        stream.finalize()
        await asyncio.sleep(0)
    assert len(stream._waiting) == asr_stream.MAX_WAITING
    assert pool.counters["asr_utterances_dropped"] >= 3
    pool.open.set()


async def test_outputs_that_nobody_reads_are_bounded_and_counted(opened, pool, monkeypatch):
    stream = opened()
    monkeypatch.setattr(stream._outputs, "_most", 3)
    for _ in range(3):
        stream.push(speech())
        stream.finalize()
    while len(pool.returned) < 3:
        await asyncio.sleep(0)
    assert len(stream._outputs) == 3
    assert pool.counters["asr_outputs_dropped"] > 0


async def test_audio_that_the_worker_does_not_take_is_counted(opened, pool):
    pool.worker.takes = False
    stream = opened()
    stream.push(speech(0.3))
    while not pool.options:
        await asyncio.sleep(0)
    stream.push(to_bytes(voice(0.2, RATE)))
    assert pool.counters["asr_pieces_dropped"] >= 10


async def test_close_ends_the_iteration_and_lets_the_worker_go(opened, pool):
    stream = opened()
    stream.push(speech(0.3))
    while not pool.options:
        await asyncio.sleep(0)
    stream.close()
    assert [output async for output in stream] == []
    await asyncio.sleep(0)
    assert pool.returned == [False]


async def test_phrases_with_unknown_words_are_told_once(opened, pool):
    pool.unknown = ["open the zorglub"]
    stream = opened(grammar=("open the zorglub",))
    stream.push(speech(0.3))
    stream.finalize()
    stream.push(speech(0.3))
    stream.finalize()
    got = await outputs_until_final(stream) + await outputs_until_final(stream)
    errors = [output for output in got if isinstance(output, SpeechError)]
    assert len(errors) == 1
    assert "zorglub" in errors[0].error
