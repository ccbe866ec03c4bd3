"""Chains of hosted providers: what fails in the middle goes on with the next one."""

import asyncio

import pytest

from softswitch.settings import Speech, SpeechProvider
from softswitch.speech import provider as module
from softswitch.speech.interface import (
    AsrFinal,
    AsrOptions,
    SpeechError,
    SpeechSwitched,
    TtsAudio,
    TtsDone,
    TtsOptions,
)
from softswitch.speech.provider import Providers
from tests.speech.hosted.conformance import say
from tests.speech.hosted.vendor import speech, words
from tests.speech.hosted.vendors_asr import Cartesia, DeepgramListen
from tests.speech.hosted.vendors_tts import Cartesia as Sonic
from tests.speech.hosted.vendors_tts import DeepgramSpeak, OpenAi

ONE, TWO = "This is the first sentence.", "And here comes another one."


def catalogue(*vendors, **more):
    """Return providers named first, second ... for vendors that run."""
    names = ("first", "second", "third")
    rows = tuple(
        SpeechProvider(
            name=name, kind=vendor.kind, base_url=vendor.base_url, voice="nova", **vendor.settings()
        )
        for name, vendor in zip(names, vendors, strict=False)
    )
    return Providers(Speech(provider=rows, asr="off", tts="off", **more))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(module, "SWITCH_S", 0.4)


async def test_recognition_goes_on_in_mid_word_and_tells_it_once():
    class Breaks(DeepgramListen):
        def heard(self, length_ms):
            super().heard(length_ms)
            return sum(length for _, length in self.seen.audio_at) > 1200

    async with Breaks() as first, Cartesia() as second:
        providers = catalogue(first, second)
        opened = await providers.open_asr(("first", "second"), AsrOptions(language="en-US"))
        assert (opened.provider, opened.warnings) == ("first", [])
        outputs = []
        say(opened.stream, 600)
        finals = 0
        async with asyncio.timeout(60):
            async for output in opened.stream:
                outputs.append(output)
                if isinstance(output, AsrFinal):
                    finals += 1
                    if finals == 1:
                        say(opened.stream, 700)
                    else:
                        break
        told = [output for output in outputs if isinstance(output, SpeechError | SpeechSwitched)]
        assert len(told) == 1
        assert isinstance(told[0], SpeechSwitched)
        assert "'first' failed" in told[0].error
        assert "'second' goes on" in told[0].error
        final = [output for output in outputs if isinstance(output, AsrFinal)]
        assert [one.text for one in final] == [words(600), words(700)]
        assert [one.index for one in final] == [0, 1]
        assert final[0].end_ms <= final[1].end_ms <= 1720
        opened.stream.close()
        await providers.close()


async def test_recognition_that_gives_no_text_is_followed_in_time():
    async with DeepgramListen() as first, Cartesia() as second:
        first.trouble.mute = True
        providers = catalogue(first, second)
        opened = await providers.open_asr(("first", "second"), AsrOptions(language="en-US"))
        say(opened.stream, 300)
        async with asyncio.timeout(60):
            async for output in opened.stream:
                if isinstance(output, AsrFinal):
                    assert output.text == words(300)
                    break
        assert providers.switched == 1
        # Left alone for a while: the next call begins with the second one, and is told why.
        opened_next = await providers.open_asr(("first", "second"), AsrOptions(language="en-US"))
        assert opened_next.provider == "second"
        assert "failed just now" in opened_next.warnings[0]
        opened.stream.close()
        opened_next.stream.close()
        await providers.close()


@pytest.mark.parametrize("trouble", ["mute", "cut", "refused"])
async def test_speech_goes_on_with_the_sentence_that_broke_off(trouble):
    async with DeepgramSpeak() as first, Sonic() as second:
        match trouble:
            case "mute":
                first.trouble.mute = True
            case "cut":
                first.trouble.cut_after_ms = 100
            case _:
                first.trouble.status = 401
        providers = catalogue(first, second)
        opened = await providers.open_tts(("first", "second"), TtsOptions(sample_rate=24000))
        opened.stream.push_text(f"{ONE} {TWO}")
        opened.stream.flush()
        async with asyncio.timeout(60):
            outputs = [output async for output in opened.stream]
        told = [output for output in outputs if isinstance(output, SpeechError | SpeechSwitched)]
        assert len(told) == 1
        assert isinstance(told[0], SpeechSwitched)
        assert second.seen.texts == [ONE, TWO]
        pcm = b"".join(output.pcm for output in outputs if isinstance(output, TtsAudio))
        assert pcm.endswith(speech(TWO, 24000))
        assert isinstance(outputs[-1], TtsDone)
        assert outputs[-1].duration_ms == round(len(pcm) / 48)
        await providers.close()


async def test_sentence_that_was_spoken_is_not_said_again():
    async with DeepgramSpeak() as first, Sonic() as second:
        providers = catalogue(first, second)
        opened = await providers.open_tts(("first", "second"), TtsOptions(sample_rate=24000))
        opened.stream.push_text(f"{ONE} ")
        outputs = []
        async with asyncio.timeout(60):
            async for output in opened.stream:
                outputs.append(output)
                if isinstance(output, TtsAudio) and output.last and not first.trouble.mute:
                    first.trouble.mute = True
                    opened.stream.push_text(TWO)
                    opened.stream.flush()
        assert (first.seen.texts, second.seen.texts) == ([ONE, TWO], [TWO])
        await providers.close()


async def test_without_a_successor_the_failure_is_an_error():
    async with OpenAi() as first:
        first.trouble.status = 500
        providers = catalogue(first)
        opened = await providers.open_tts(("first", "off"), TtsOptions())
        opened.stream.push_text(ONE)
        opened.stream.flush()
        async with asyncio.timeout(60):
            outputs = [output async for output in opened.stream]
        assert [type(output) for output in outputs if not isinstance(output, TtsDone)] == [SpeechError]
        await providers.close()


async def test_voice_of_the_first_is_not_asked_of_the_next():
    async with DeepgramSpeak() as first, Sonic() as second:
        first.trouble.status = 500
        providers = catalogue(first, second)
        opened = await providers.open_tts(("first", "second"), TtsOptions(voice="zeus"))
        opened.stream.push_text(ONE)
        opened.stream.flush()
        async with asyncio.timeout(60):
            async for _ in opened.stream:
                pass
        assert second.seen.problems == []
        assert second.seen.texts == [ONE]
        await providers.close()


async def test_slow_provider_without_a_named_successor_has_its_own_time():
    class Slow(DeepgramSpeak):
        async def take(self, line, found):
            if found["type"] == "Flush":
                await asyncio.sleep(0.8)
            return await super().take(line, found)

    async with Slow() as first:
        providers = catalogue(first)
        opened = await providers.open_tts(("first",), TtsOptions(sample_rate=24000))
        opened.stream.push_text(ONE)
        opened.stream.flush()
        async with asyncio.timeout(60):
            outputs = [output async for output in opened.stream]
        assert not [output for output in outputs if isinstance(output, SpeechError | SpeechSwitched)]
        assert first.seen.texts == [ONE]
        await providers.close()
