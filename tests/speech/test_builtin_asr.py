"""The real recogniser, listening to the real voices."""

import asyncio

import numpy as np
import pytest

from softswitch.audio.pcm import from_bytes, to_bytes
from softswitch.audio.resample import StreamResampler
from softswitch.speech import flite
from softswitch.speech.builtin_asr import BuiltinAsr
from softswitch.speech.interface import AsrDelta, AsrFinal, AsrOptions, SpeechMetric
from softswitch.speech.voice_engine import Utterance
from tests.audio.sounds import noise
from tests.speech.needs import keep, need_flite, need_module

SENTENCES = (
    "go forward ten meters",
    "hello how can I help you today",
    "please call me back tomorrow morning and bring the documents",
    "what is the weather like in new york today",
    "I would like to speak to a person",
    "can you tell me what time the office opens",
)


@pytest.fixture
async def asr():
    need_module("pocketsphinx")
    need_flite()
    asr = BuiltinAsr(2)
    await asr.load()
    yield asr
    await asr.close()


def spoken(text, voice="rms", narrow=False):
    pieces: list[bytes] = []
    flite.engine().speak(Utterance(text, voice), lambda pcm, _: keep(pieces, pcm))
    speech = from_bytes(b"".join(pieces))
    pcm = np.concatenate((noise(8000, 5), speech, noise(4800, 5))).astype(np.float32)
    return StreamResampler(16000, 8000).process(pcm) if narrow else pcm


def errors(said, understood):
    """Return the word errors (Levenshtein)."""
    said, understood = said.lower().split(), understood.lower().split()
    row = list(range(len(understood) + 1))
    for index, word in enumerate(said):
        before, row[0] = row[:], index + 1
        for at, other in enumerate(understood):
            row[at + 1] = min(before[at + 1] + 1, row[at] + 1, before[at] + (word != other))
    return row[-1]


async def listen(stream, pcm):
    """Push, finalize, and return everything up to the final."""
    data = to_bytes(pcm)
    for begin in range(0, len(data), 640):
        stream.push(data[begin : begin + 640])
    stream.finalize()
    return await until_final(stream)


async def until_final(stream):
    got = []
    async with asyncio.timeout(60):
        async for output in stream:
            got.append(output)
            if isinstance(output, SpeechMetric) and output.key == "completion.asr.builtin":
                return got
    raise AssertionError(got)


async def understand(asr, pcm, **options):
    stream = await asr.open(AsrOptions(**options))
    got = await listen(stream, pcm)
    stream.close()
    return next(output for output in got if isinstance(output, AsrFinal)), got


async def test_spoken_sentences_are_understood(asr):
    wrong = 0
    for sentence in SENTENCES:
        final, _ = await understand(asr, spoken(sentence))
        wrong += errors(sentence, final.text)
    words = sum(len(sentence.split()) for sentence in SENTENCES)
    assert wrong / words <= 0.1


async def test_one_stream_understands_one_sentence_after_another(asr):
    stream = await asr.open(AsrOptions())
    wrong = 0
    for index, sentence in enumerate(SENTENCES):
        final = next(o for o in await listen(stream, spoken(sentence, "kal16")) if isinstance(o, AsrFinal))
        assert final.index == index
        wrong += errors(sentence, final.text)
    stream.close()
    assert wrong / sum(len(sentence.split()) for sentence in SENTENCES) <= 0.2


async def test_final_has_times_and_confidence_and_partials_come_before(asr):
    pcm = spoken(SENTENCES[2])
    stream = await asr.open(AsrOptions())
    stream.push(to_bytes(pcm))
    async with asyncio.timeout(60):
        partial = await anext(output async for output in stream if isinstance(output, AsrDelta))
    stream.finalize()
    final = next(output for output in await until_final(stream) if isinstance(output, AsrFinal))
    stream.close()
    assert (partial.index, type(partial)) == (0, AsrDelta)
    assert partial.text
    assert final.start_ms == pytest.approx(500 + 140, abs=150)
    assert final.end_ms == pytest.approx(len(pcm) / 16 - 300 - 130, abs=250)
    assert final.confidence is not None
    assert 0 < final.confidence <= 1


@pytest.mark.parametrize("narrow", [False, True])
async def test_digits_are_understood_through_a_telephone_too(asr, narrow):
    said = "four seven one nine zero two"
    options = {"grammar": "digits", "sample_rate": 8000 if narrow else 16000}
    wrong = 0
    for voice in ("rms", "slt", "awb"):
        final, _ = await understand(asr, spoken(said, voice, narrow), **options)
        wrong += errors(said, final.text)
    assert wrong <= 3


async def test_yes_and_no_are_understood_through_a_telephone(asr):
    for said in ("yes please", "no thank you"):
        final, _ = await understand(asr, spoken(said, narrow=True), grammar="yes/no", sample_rate=8000)
        assert final.text == said


async def test_phrases_are_returned_as_they_were_given(asr):
    phrases = ("Go forward, ten meters!", "I would like to speak to a person")
    final, _ = await understand(asr, spoken("go forward ten meters"), grammar=phrases)
    assert final.text == phrases[0]


async def test_what_it_cannot_do_is_warned_of(asr):
    stream = await asr.open(AsrOptions(language="de-DE", hotwords=("Bonn",), grammar="numbers"))
    assert [warning.split(":")[0] for warning in stream.warnings] == ["language", "hotwords", "grammar"]
    stream.close()
    assert (await asr.open(AsrOptions(language="en-GB", grammar="free"))).warnings == ()


async def test_more_streams_than_workers_are_all_understood(asr):
    said = SENTENCES[1]
    pcm = spoken(said)
    finals = await asyncio.gather(*(understand(asr, pcm) for _ in range(5)))
    assert sum(errors(said, final.text) for final, _ in finals) <= 5
    assert asr.counters["asr_workers_started"] <= 2
