"""The real recogniser, listening to the real voices."""

import asyncio

import numpy as np
import pytest
import pytest_asyncio

from softswitch.audio.pcm import from_bytes, to_bytes
from softswitch.audio.resample import StreamResampler
from softswitch.speech.builtin import flite
from softswitch.speech.builtin.asr import BuiltinAsr
from softswitch.speech.builtin.items import words
from softswitch.speech.builtin.voice_engine import Utterance
from softswitch.speech.interface import AsrDelta, AsrFinal, AsrOptions, AsrTurn, Grammar, Intent, SpeechMetric
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


# The model is loaded once for all tests of this file, which so share a loop.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asr():
    need_module("moonshine_cpp")
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
    said, understood = words(said), words(understood.replace("-", ""))
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
    async with asyncio.timeout(110):
        async for output in stream:
            got.append(output)
            if isinstance(output, SpeechMetric) and output.key == "completed.asr.builtin":
                return got
    raise AssertionError(got)


async def understand(asr, pcm, **options):
    stream = await asr.open(AsrOptions(**options))
    got = await listen(stream, pcm)
    stream.close()
    return next(output for output in got if isinstance(output, AsrFinal)), got


@pytest.mark.parametrize("narrow", [False, True])
async def test_spoken_sentences_are_understood(asr, narrow):
    wrong = 0
    for sentence in SENTENCES:
        rate = 8000 if narrow else 16000
        final, _ = await understand(asr, spoken(sentence, narrow=narrow), sample_rate=rate)
        wrong += errors(sentence, final.text)
    assert wrong / sum(len(words(sentence)) for sentence in SENTENCES) <= 0.08


async def test_one_stream_understands_one_sentence_after_another(asr):
    stream = await asr.open(AsrOptions())
    for index, sentence in enumerate(SENTENCES[:3]):
        final = next(o for o in await listen(stream, spoken(sentence)) if isinstance(o, AsrFinal))
        assert final.index == index
        assert errors(sentence, final.text) <= 1
    stream.close()


async def test_final_has_times_and_confidence_and_partials_come_before(asr):
    pcm = spoken(SENTENCES[2])
    stream = await asr.open(AsrOptions())
    stream.push(to_bytes(pcm[:32000]))
    async with asyncio.timeout(110):
        partial = await anext(output async for output in stream if isinstance(output, AsrDelta))
    stream.push(to_bytes(pcm[32000:]))
    stream.finalize()
    final = next(output for output in await until_final(stream) if isinstance(output, AsrFinal))
    stream.close()
    assert (partial.index, type(partial)) == (0, AsrDelta)
    assert words(partial.text)[:2] == ["please", "call"]
    assert final.start_ms == pytest.approx(500 - 150, abs=250)
    assert final.end_ms == pytest.approx(len(pcm) / 16 - 300 - 130, abs=250)
    assert final.confidence is not None
    assert 0.4 < final.confidence <= 1


async def test_ends_of_turns_are_heard(asr):
    # One of the six may be missed: the model writes a comma behind a voice that rises.
    done = 0
    for sentence in SENTENCES:
        stream = await asr.open(AsrOptions())
        stream.push(to_bytes(spoken(sentence, "slt")))
        async with asyncio.timeout(110):
            turn = await anext(output async for output in stream if isinstance(output, AsrTurn))
        stream.close()
        done += 0.5 < turn.probability <= 1
    assert done >= len(SENTENCES) - 1


async def test_noise_is_no_words(asr):
    stream = await asr.open(AsrOptions(grammar=Grammar("phrases", ("yes", "no"))))
    rng = np.random.default_rng(1)
    stream.push(bytes(16000) + to_bytes((rng.standard_normal(16000) * 2000).astype(np.float32)))
    stream.finalize()
    async with asyncio.timeout(110):
        final = await anext(output async for output in stream if isinstance(output, AsrFinal))
    stream.close()
    assert final.rejected
    assert final.text == ""


@pytest.mark.parametrize("model", ["", "pocketsphinx"])
async def test_digits_are_understood_through_a_telephone_too(asr, model):
    said = "four seven one nine zero two"
    wrong = 0
    for voice in ("rms", "slt", "awb"):
        pcm = spoken(said, voice, narrow=True)
        final, _ = await understand(asr, pcm, grammar="digits", sample_rate=8000, model=model)
        wrong += errors(said, final.text)
    assert wrong <= 3


async def test_yes_and_no_are_understood_through_a_telephone(asr):
    for said in ("yes please", "no thank you"):
        final, _ = await understand(asr, spoken(said, narrow=True), grammar="yes/no", sample_rate=8000)
        assert final.text == said


async def test_phrases_are_returned_as_they_were_given_and_others_rejected(asr):
    phrases = ("Go forward, ten meters!", "I would like to speak to a person", "sales")
    final, _ = await understand(asr, spoken("go forward ten meters"), grammar=phrases)
    assert (final.text, final.match, final.rejected) == (phrases[0], phrases[0], False)
    final, _ = await understand(asr, spoken(SENTENCES[3]), grammar=phrases)
    assert (final.text, final.match, final.rejected) == ("", "", True)


async def test_intents_are_named_and_words_spotted(asr):
    wanted = Grammar(
        "intents",
        (Intent("human", ("speak to a person", "talk to an agent")), Intent("hours", ("when do you open",))),
    )
    final, _ = await understand(asr, spoken(SENTENCES[4]), grammar=wanted)
    assert final.match == "human"
    assert words(final.text) == words(SENTENCES[4])
    final, _ = await understand(asr, spoken(SENTENCES[2]), grammar=Grammar("spot", ("documents", "invoice")))
    assert final.match == "documents"


async def test_what_it_cannot_do_is_warned_of(asr):
    stream = await asr.open(AsrOptions(language="de-DE", model="large", grammar="numbers"))
    assert [warning.split(":")[0] for warning in stream.warnings] == ["model", "language", "grammar"]
    stream.close()
    assert (await asr.open(AsrOptions(language="en-GB", grammar="free", hotwords=("Bonn",)))).warnings == ()
    small = await asr.open(
        AsrOptions(model="pocketsphinx", hotwords=("Bonn",), grammar=Grammar("spot", ("a",)))
    )
    assert [warning.split(":")[0] for warning in small.warnings] == ["hotwords", "grammar"]
    small.close()


async def test_more_streams_than_workers_are_all_understood(asr):
    said = SENTENCES[1]
    pcm = spoken(said)
    finals = await asyncio.gather(*(understand(asr, pcm) for _ in range(5)))
    assert [final.text for final, _ in finals if errors(said, final.text) > 1] == []
    assert asr.counters["asr_utterances"] >= 5


async def test_without_the_model_pocketsphinx_listens():
    need_module("pocketsphinx")
    need_flite()
    alone = BuiltinAsr(1, engine="tests.speech.builtin.absent_engine")
    stream = await alone.open(AsrOptions(grammar="yes/no"))
    assert "pocketsphinx listens" in stream.warnings[0]
    got = await listen(stream, spoken("yes please"))
    assert [output.text for output in got if isinstance(output, AsrFinal)] == ["yes please"]
    stream.close()
    await alone.close()
