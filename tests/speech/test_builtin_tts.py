import asyncio

import numpy as np
import pytest

from softswitch.speech import flite
from softswitch.speech.builtin_tts import BuiltinTts
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


@pytest.fixture
async def tts():
    need_flite()
    need_module("espeakng_loader")
    tts = BuiltinTts(PhraseCache(8_000_000))
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


async def test_english_is_spoken_by_flite_and_other_scripts_by_espeak(tts):
    warnings, outputs = await say(tts, "Hello. 你好。 Привет! Goodbye.")
    assert rates(outputs) == [16000, 22050, 22050, 16000]
    assert list(warnings) == []
    assert isinstance(outputs[-1], TtsDone)
    assert outputs[-1].duration_ms > 2000


async def test_language_chooses_the_engine(tts):
    assert rates((await say(tts, "Guten Tag.", language="de-DE"))[1]) == [22050]
    assert rates((await say(tts, "Good day.", language="en-US"))[1]) == [16000]
    warnings, outputs = await say(tts, "Good day.", language="xx-YY")
    assert rates(outputs) == [16000]
    assert "xx-YY" in warnings[0]


async def test_voice_chooses_the_engine(tts):
    assert rates((await say(tts, "Hi.", voice="kal"))[1]) == [8000]
    assert rates((await say(tts, "Salut.", voice="fr"))[1]) == [22050]
    assert "slt" in tts.voices()
    assert "de" in tts.voices()


async def test_unknown_voice_is_replaced_and_warned_of(tts):
    warnings, outputs = await say(tts, "Hello.", voice="601003")
    assert rates(outputs) == [16000]
    assert "601003" in warnings[0]


async def test_first_audio_does_not_wait_for_the_sentence_nor_begin_with_silence(tts):
    _, outputs = await say(tts, "Hello, how can I help you today?")
    audio = [output for output in outputs if isinstance(output, TtsAudio) and output.pcm]
    assert len(audio) > 5
    first = np.abs(np.frombuffer(audio[0].pcm, "<i2").astype(int))
    assert first[: 16000 * 30 // 1000].max() > 100
    words = [output for output in outputs if isinstance(output, TtsMark)]
    assert words[0].offset_ms < 40
    assert [word.text for word in words][:2] == ["Hello", "how"]


async def test_volume_is_applied(tts):
    def loudness(outputs):
        pcm = b"".join(output.pcm for output in outputs if isinstance(output, TtsAudio))
        return np.sqrt(np.mean(np.frombuffer(pcm, "<i2").astype(float) ** 2))

    plain = loudness((await say(tts, "Hello there."))[1])
    assert loudness((await say(tts, "Hello there.", volume=0.5))[1]) == pytest.approx(plain / 2, rel=0.02)


async def test_second_time_comes_from_the_cache(tts):
    first = (await say(tts, "Welcome to the switch."))[1]
    second = (await say(tts, "Welcome to the switch."))[1]
    pcm = [b"".join(o.pcm for o in outputs if isinstance(o, TtsAudio)) for outputs in (first, second)]
    assert pcm[0] == pcm[1]
    assert tts._cache.hits == 1


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
    assert tts._threads["flite"]._waiting == tts._threads["espeak"]._waiting == 0


async def test_without_flite_espeak_speaks_english(tts, monkeypatch):
    def absent():
        raise SpeechUnavailableError("no flite")

    monkeypatch.setattr(flite, "engine", absent)
    alone = BuiltinTts(PhraseCache(0))
    assert rates((await say(alone, "Hello."))[1]) == [22050]
    assert "slt" not in alone.voices()
    warnings, outputs = await say(alone, "Hello.", voice="slt")
    assert rates(outputs) == [22050]
    assert warnings
    await alone.close()


async def test_without_any_engine_opening_says_so(monkeypatch):
    def absent():
        raise SpeechUnavailableError("not installed")

    monkeypatch.setattr("softswitch.speech.flite.engine", absent)
    monkeypatch.setattr("softswitch.speech.espeak.engine", absent)
    tts = BuiltinTts(PhraseCache(0))
    for _ in range(2):
        with pytest.raises(SpeechUnavailableError, match="not installed"):
            await tts.open(TtsOptions())
    await tts.close()
