import asyncio

import numpy as np
import pytest

from softswitch.speech.builtin.tts import ENGINES, BuiltinTts
from softswitch.speech.interface import (
    SpeechError,
    SpeechUnavailableError,
    TtsAudio,
    TtsDone,
    TtsMark,
    TtsOptions,
)
from softswitch.speech.phrases import PhraseCache
from tests.speech.needs import need_flite, need_module

FAKE, ABSENT = "tests.speech.builtin.fake_voice", "tests.speech.builtin.absent_engine"


@pytest.fixture
async def tts():
    need_flite()
    need_module("espeakng_loader")
    need_module("hibari")
    tts = BuiltinTts(PhraseCache(8_000_000))
    yield tts
    await tts.close()


@pytest.fixture
async def fake():
    """With a voice that needs no package and starts at once."""
    tts = BuiltinTts(PhraseCache(8_000_000), 1, engines=(FAKE, ABSENT))
    yield tts
    await tts.close()


async def say(tts, text, **options):
    stream = await tts.open(TtsOptions(**options))
    stream.push_text(text)
    stream.flush()
    async with asyncio.timeout(30):
        return stream.warnings, [output async for output in stream]


def rates(outputs):
    return [output.sample_rate for output in outputs if isinstance(output, TtsAudio) and output.text]


async def test_english_is_spoken_by_the_neural_voice_and_other_scripts_by_espeak(tts):
    warnings, outputs = await say(tts, "Hello. 你好。 Привет! Goodbye.")
    assert rates(outputs) == [24000, 22050, 22050, 24000]
    assert list(warnings) == []
    assert isinstance(outputs[-1], TtsDone)
    assert outputs[-1].duration_ms > 2000


async def test_language_chooses_the_engine(tts):
    assert rates((await say(tts, "Guten Tag.", language="de-DE"))[1]) == [22050]
    assert rates((await say(tts, "Good day.", language="en-US"))[1]) == [24000]
    warnings, outputs = await say(tts, "Good day.", language="xx-YY")
    assert rates(outputs) == [24000]
    assert "xx-YY" in warnings[0]


async def test_voice_chooses_the_engine(tts):
    assert rates((await say(tts, "Hi.", voice="kal"))[1]) == [8000]
    assert rates((await say(tts, "Hi.", voice="heart"))[1]) == [24000]
    assert rates((await say(tts, "Salut.", voice="fr"))[1]) == [22050]
    assert {"heart", "slt", "de"} <= set(tts.voices())


async def test_unknown_voice_is_replaced_and_warned_of(tts):
    warnings, outputs = await say(tts, "Hello.", voice="601003")
    assert rates(outputs) == [24000]
    assert "601003" in warnings[0]


async def test_first_audio_does_not_wait_for_the_sentence_nor_begin_with_silence(tts):
    _, outputs = await say(tts, "Hello, how can I help you today?")
    audio = [output for output in outputs if isinstance(output, TtsAudio) and output.pcm]
    assert len(audio) > 2
    assert len(audio[0].pcm) / 2 / 24000 < 0.7
    first = np.abs(np.frombuffer(audio[0].pcm, "<i2").astype(int))
    assert first[: 24000 * 30 // 1000].max() > 100
    words = [output for output in outputs if isinstance(output, TtsMark)]
    assert words[0].offset_ms < 40
    assert [word.text for word in words][:2] == ["Hello", "how"]


async def test_volume_is_applied(fake):
    def loudness(outputs):
        pcm = b"".join(output.pcm for output in outputs if isinstance(output, TtsAudio))
        return np.sqrt(np.mean(np.frombuffer(pcm, "<i2").astype(float) ** 2))

    plain = loudness((await say(fake, "Hello there."))[1])
    assert loudness((await say(fake, "Hello there.", volume=0.5))[1]) == pytest.approx(plain / 2, rel=0.02)


async def test_second_time_comes_from_the_cache(fake):
    first = (await say(fake, "Welcome to the switch."))[1]
    second = (await say(fake, "Welcome to the switch."))[1]
    pcm = [b"".join(o.pcm for o in outputs if isinstance(o, TtsAudio)) for outputs in (first, second)]
    assert pcm[0] == pcm[1]
    assert fake._cache.hits == 1


async def test_twenty_streams_at_once_speak_and_stop_without_harm(tts):
    async def call(number):
        options = TtsOptions(voice=("slt", "kal", "de", "cmn", "")[number % 5])
        stream = await tts.open(options)
        stream.push_text(f"This is call number {number}. It says a few things. 你好。 And then it ends.")
        stream.flush()
        heard = 0.0
        async for output in stream:
            if isinstance(output, TtsAudio):
                heard += len(output.pcm) / 2 / output.sample_rate
                if number % 3 == 0 and heard > 0.2:
                    stream.cancel()
            assert not isinstance(output, SpeechError)
        return heard

    async with asyncio.timeout(90):
        heard = await asyncio.gather(*(call(number) for number in range(20)))
    assert all(seconds < 3.0 for seconds in heard[::3])
    assert all(seconds > 3.0 for number, seconds in enumerate(heard) if number % 3)
    assert tts._neural.idle
    assert tts._library.idle


async def test_equal_sentences_of_many_callers_are_made_once(fake):
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(say(fake, "Please hold the line.") for _ in range(10)))
    assert all(isinstance(outputs[-1], TtsDone) and outputs[-1].duration_ms > 200 for _, outputs in answers)
    assert fake.counters["tts_jobs"] == 1
    assert fake.counters["tts_shared"] == 9


async def test_first_sentences_go_before_second_ones(fake, monkeypatch):
    ranks = []
    run = fake._neural.run

    def noted(request, body=b"", **bounds):
        ranks.append((bounds["rank"], request["text"]))
        return run(request, body, **bounds)

    monkeypatch.setattr(fake._neural, "run", noted)
    await say(fake, "This is the first. This is the second. And the third.")
    assert ranks == [(0, "This is the first."), (1, "This is the second."), (2, "And the third.")]


async def test_under_load_first_sentences_are_spoken_in_two_parts(fake, monkeypatch):
    texts = []
    run = fake._neural.run

    def noted(request, body=b"", **bounds):
        texts.append((bounds["rank"], request["text"]))
        return run(request, body, **bounds)

    monkeypatch.setattr(fake._neural, "run", noted)
    monkeypatch.setattr(fake._neural, "wait_s", lambda _rank: 0.5)
    _, outputs = await say(fake, "Thank you for calling us, how may I help you?")
    assert texts == [(0, "Thank you for calling us,"), (0.5, "how may I help you?")]
    marks = [output for output in outputs if isinstance(output, TtsMark)]
    assert [mark.text for mark in marks][:6] == ["Thank", "you", "for", "calling", "us,", "how"]
    assert sorted(mark.offset_ms for mark in marks) == [mark.offset_ms for mark in marks]
    assert [output.text for output in outputs if isinstance(output, TtsAudio) and output.text] == [
        "Thank you for calling us, how may I help you?"
    ]


async def test_a_full_pool_is_told_at_once(fake, monkeypatch):
    monkeypatch.setattr(fake._neural, "wait_s", lambda _rank: 60.0)
    _, outputs = await say(fake, "Hello there.")
    assert SpeechError in map(type, outputs)
    assert [output.code for output in outputs if isinstance(output, SpeechError)] == [503]


async def test_ssml(fake):
    text = "<speak>Wait <break time='500ms'/><prosody volume='silent'>quiet</prosody></speak>"
    _, outputs = await say(fake, text)
    audio = [output for output in outputs if isinstance(output, TtsAudio)]
    assert bytes(24000) in [output.pcm[-24000:] for output in audio]
    assert not any(audio[-2].pcm)
    assert [output.text for output in audio if output.text] == ["Wait", "quiet"]


async def test_a_fault_in_a_library_ends_one_sentence(tts, monkeypatch):
    run = tts._library.run
    monkeypatch.setattr(tts._library, "run", lambda request, **b: run(request | {"engine": "none"}, **b))
    _, outputs = await say(tts, "Hallo.", language="de")
    assert SpeechError in map(type, outputs)
    monkeypatch.undo()
    assert rates((await say(tts, "Hallo.", language="de"))[1]) == [22050]


async def test_lexicon_and_numbers_reach_the_voice(monkeypatch):
    tts = BuiltinTts(PhraseCache(0), 1, {"SIP": "/sip/"}, (FAKE, ABSENT))
    texts: list[str] = []
    run = tts._neural.run

    def noted(request, body=b"", **bounds):
        texts.append(request["text"])
        return run(request, body, **bounds)

    monkeypatch.setattr(tts._neural, "run", noted)
    _, outputs = await say(tts, "SIP at 555-0123.")
    assert texts == ["[SIP](/sip/) at five five five, zero one two three."]
    said = [output.text for output in outputs if isinstance(output, TtsAudio) and output.text]
    assert said == ["SIP at 555-0123."]
    await tts.close()


async def test_without_the_neural_voice_flite_speaks_english():
    need_flite()
    tts = BuiltinTts(PhraseCache(0), engines=(ABSENT, ENGINES[1]))
    assert rates((await say(tts, "Hello."))[1]) == [16000]
    assert "heart" not in tts.voices()
    await tts.close()


async def test_without_the_libraries_the_neural_voice_speaks():
    tts = BuiltinTts(PhraseCache(0), engines=(FAKE, ABSENT))
    assert rates((await say(tts, "Hello. Привет."))[1])[0] == 24000
    assert list(tts.voices()) == ["heart"]
    await tts.close()


async def test_without_any_engine_opening_says_so():
    tts = BuiltinTts(PhraseCache(0), engines=(ABSENT, ABSENT))
    for _ in range(2):
        with pytest.raises(SpeechUnavailableError, match="absent_engine"):
            await tts.open(TtsOptions())
    await tts.close()
