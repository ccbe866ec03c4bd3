import asyncio

import pytest

from softswitch.errors import NotNowError
from softswitch.speech import tts_stream
from softswitch.speech.interface import SpeechError, SpeechMetric, TtsAudio, TtsDone, TtsMark
from softswitch.speech.phrases import PhraseCache, Spoken
from softswitch.speech.sentences import SentenceCutter
from softswitch.speech.tts_stream import LOOK_AHEAD_S, MAX_PENDING, MOST_CUT, PAUSE_S, SentenceStream

RATE = 8000


class Voice:
    """Speaks a second for every sentence, and remembers what it was asked for."""

    def __init__(self, seconds=1.0):
        self.asked: list[str] = []
        self.stopped = 0
        self.seconds = seconds
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, sentence):
        self.asked.append(sentence)
        try:
            for _ in range(2):
                await self.hold.wait()
                yield Spoken(bytes(int(RATE * self.seconds)), RATE)
            yield Spoken(b"", RATE, ((sentence.split()[0], 20),))
        finally:
            self.stopped += 1


async def read(stream):
    async with asyncio.timeout(60):
        return [output async for output in stream]


def audio_of(outputs):
    return [output for output in outputs if isinstance(output, TtsAudio)]


async def settled():
    for _ in range(50):
        await asyncio.sleep(0)


async def test_sentences_are_spoken_in_order_and_the_stream_ends():
    voice = Voice()
    stream = SentenceStream("fake", voice)
    stream.push_text("One. Two.")
    stream.push_text(" Three")
    stream.flush()
    outputs = await read(stream)
    assert [output.text for output in audio_of(outputs) if output.text] == ["One.", "Two.", "Three"]
    assert sum(output.last for output in audio_of(outputs)) == 3
    assert outputs[-1] == TtsDone(round(1000 * (3 + 2 * PAUSE_S)))


async def test_words_are_placed_in_the_audio_of_the_whole_stream():
    stream = SentenceStream("fake", Voice())
    stream.push_text("One. Two.")
    stream.flush()
    marks = [output for output in await read(stream) if isinstance(output, TtsMark)]
    assert marks == [TtsMark("One.", 20), TtsMark("Two.", 1000 + round(1000 * PAUSE_S) + 20)]


async def test_first_sentence_is_spoken_before_the_text_is_complete():
    stream = SentenceStream("fake", Voice())
    stream.push_text("One. Tw")
    async with asyncio.timeout(5):
        first = await anext(stream)
    assert isinstance(first, TtsAudio)
    assert first.text == "One."
    stream.cancel()


async def test_synthesis_runs_ahead_of_the_reader_and_waits_for_him():
    voice = Voice(seconds=2.0)
    stream = SentenceStream("fake", voice)
    stream.push_text("One. Two. Three. Four. Five. Six. ")
    stream.flush()
    await settled()
    ahead = len(voice.asked)
    assert ahead == LOOK_AHEAD_S / 2
    async for output in stream:
        if isinstance(output, TtsAudio) and output.text == "Two.":
            break
    await settled()
    assert ahead < len(voice.asked) < 6
    assert isinstance((await read(stream))[-1], TtsDone)


async def test_cancel_stops_the_voice_and_the_reader_at_once():
    voice = Voice()
    stream = SentenceStream("fake", voice)
    stream.push_text("One. Two. ")
    voice.hold.clear()
    await settled()
    stream.cancel()
    assert await read(stream) == []
    await settled()
    assert (voice.asked, voice.stopped) == (["One."], 1)


async def test_text_after_flush_or_cancel_is_ignored():
    voice = Voice()
    stream = SentenceStream("fake", voice)
    stream.flush()
    stream.push_text("Late. ")
    stream.flush()
    assert await read(stream) == [TtsDone(0)]
    assert voice.asked == []


async def test_a_sentence_that_is_never_ended_is_spoken_after_a_while(monkeypatch):
    monkeypatch.setattr(tts_stream, "SETTLE_S", 0.01)
    stream = SentenceStream("fake", Voice())
    stream.push_text("and so on")
    async with asyncio.timeout(5):
        first = await anext(stream)
    assert isinstance(first, TtsAudio)
    assert first.text == "and so on"
    stream.cancel()


async def test_known_sentences_come_from_the_cache():
    voice, cache = Voice(), PhraseCache(1_000_000)
    for _ in range(2):
        stream = SentenceStream("fake", voice, cache=cache, key=("slt", 1.0))
        stream.push_text("Welcome. ")
        stream.flush()
        outputs = await read(stream)
        assert len(audio_of(outputs)) == 3
        assert any(isinstance(output, TtsMark) for output in outputs)
    other = SentenceStream("fake", voice, cache=cache, key=("kal", 1.0))
    other.push_text("Welcome. ")
    other.flush()
    await read(other)
    assert voice.asked == ["Welcome.", "Welcome."]
    assert cache.hits == 1


async def test_half_a_sentence_is_not_cached():
    voice, cache = Voice(), PhraseCache(1_000_000)
    stream = SentenceStream("fake", voice, cache=cache)
    stream.push_text("Welcome. ")
    voice.hold.clear()
    await settled()
    stream.cancel()
    await settled()
    assert len(cache) == 0


async def test_times_are_measured():
    now = iter(range(100))
    stream = SentenceStream("fake", Voice(), clock=lambda: float(next(now)))
    stream.push_text("One.")
    stream.flush()
    metrics = [output for output in await read(stream) if isinstance(output, SpeechMetric)]
    assert [metric.key for metric in metrics] == ["ttfb.tts.fake", "completed.tts.fake"]
    assert metrics[0].duration_ms == 1000
    assert metrics[1].data == {"characters": 4, "audioMs": 1000, "cached": 0}


@pytest.mark.parametrize(
    ("failure", "code"), [(RuntimeError("no voice today"), 500), (NotNowError("busy: all lines"), 503)]
)
async def test_a_failing_sentence_is_an_error_and_the_next_one_is_spoken(failure, code):
    calls = 0

    async def voice(_sentence):
        nonlocal calls
        calls += 1
        if calls == 1:
            raise failure
        yield Spoken(b"\0\0", RATE)

    stream = SentenceStream("fake", voice)
    stream.push_text("One. Two.")
    stream.flush()
    outputs = await read(stream)
    errors = [output for output in outputs if isinstance(output, SpeechError)]
    assert [(error.sender, error.code) for error in errors] == [("tts", code)]
    assert str(failure) in errors[0].error
    assert [output.text for output in audio_of(outputs) if output.text] == ["Two."]


async def test_text_beyond_the_bound_is_refused_with_an_error(monkeypatch):
    monkeypatch.setattr(tts_stream, "MAX_PENDING", 20)
    voice = Voice()
    voice.hold.clear()
    stream = SentenceStream("fake", voice)
    stream.push_text("This is far too long to be taken. ")
    output = await anext(stream)
    assert isinstance(output, SpeechError)
    assert output.code == 413
    stream.cancel()


async def test_long_text_is_cut_as_it_is_spoken_and_never_all_at_once(monkeypatch):
    cut: list[int] = []
    push = SentenceCutter.push

    def measured(self: SentenceCutter, text: str) -> list[str]:
        cut.append(len(text))
        return push(self, text)

    monkeypatch.setattr(SentenceCutter, "push", measured)
    voice = Voice(seconds=10)
    stream = SentenceStream("fake", voice)
    stream.push_text("A sentence of some words. " * 2000)
    stream.flush()
    while not voice.asked:
        await asyncio.sleep(0)
    await settled()
    assert sum(cut) <= 2 * MOST_CUT
    assert max(cut) <= MOST_CUT
    stream.cancel()


async def test_text_cut_in_pieces_is_spoken_whole_and_in_order():
    voice = Voice(seconds=0.001)
    stream = SentenceStream("fake", voice)
    said = [f"Sentence number {number} of many words." for number in range(200)]
    stream.push_text(" ".join(said))
    stream.flush()
    await read(stream)
    assert voice.asked == said


async def test_waiting_text_counts_before_it_is_cut():
    stream = SentenceStream("fake", Voice())
    stream.push_text("word " * (MAX_PENDING // 5))
    stream.push_text("too much")
    outputs = [await anext(stream)]
    assert outputs == [SpeechError("tts", f"text: more than {MAX_PENDING} characters are waiting", 413)]
    stream.cancel()
