"""Train the network that estimates G.722 decoders after a gap (`softswitch/audio/g722_gap.py`).

    python scripts/fit_g722_gaps.py [--times 7] [--check]

Sentences other than those of `bench/pesq_loss.py`, spoken by four voices of flite, are coded; each of their
packets is lost once, and some with the one or two before. What the network is told comes from the code that
conceals gaps, and what it should answer from a decoder that has lost nothing. Steps of Adam lower the
error, of which great ones count less. Vowels, tones and noise made here are learnt from, too, so that other
sound than speech is not estimated worse. `--check` tells the errors for the sentences of the bench.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401, I001  (before numpy: it sets the number of BLAS threads)
import numpy as np
from numpy.typing import NDArray

from bench.pesq_loss import SENTENCES as MEASURED
from bench.pesq_loss import resampled
from softswitch.audio import g722_gap
from softswitch.audio.conceal import Concealer
from softswitch.audio.g722 import CompiledCoders
from softswitch.audio.pcm import Bytes, Indices, Pcm, from_bytes
from softswitch.compiled import library
from softswitch.speech.builtin.tts import BuiltinTts
from softswitch.speech.interface import TtsAudio, TtsOptions
from softswitch.speech.phrases import PhraseCache

SENTENCES = (
    "The quick brown fox jumps over the lazy dog while the farmer watches from his porch.",
    "It's easy to tell the depth of a well. These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls. The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck. The hogs were fed chopped corn and garbage.",
    "Four hours of steady work faced us. A large size in stockings is hard to sell.",
    "The boy was there when the sun rose. A rod is used to catch pink salmon.",
    "We are sorry, all our agents are busy. Your call is number seven in the queue.",
    "To hear your messages, press two. For other options, press the star key or hang up.",
    "The invoice was sent on Monday, and we have received the payment of two hundred and fifty euros.",
    "Kick the ball straight and follow through. Help the woman get back to her feet.",
    "A pot of tea helps to pass the evening. Smoky fires lack flame and heat.",
    "The soft cushion broke the man's fall. The salt breeze came across from the sea.",
    "Would you please tell me your name, your address and your date of birth?",
    "She had your dark suit in greasy wash water all year. Don't ask me to carry an oily rag like that.",
    "Six spoons of fresh snow peas, five thick slabs of blue cheese, and maybe a snack for her brother Bob.",
    "Vacation weather was wonderful: sunshine, zephyrs, and just one shower on Thursday afternoon.",
)
VOICES = ("slt", "rms", "awb", "kal16")
_FRAME, _RATE, _UNSURE = 320, 16000, 48
_LONGEST = 3
"""Packets of the longest gap."""
_QUIET = 1e-3
"""Power beside the mean of a sentence below which a gap teaches nothing."""
_EPOCHS, _BATCH, _FASTEST, _SLOWEST, _DECAY = 25, 192, 3e-3, 2e-5, 2e-4
_GREAT = 1.5
_MADE = 60

Numbers = NDArray[np.float32]


class Lesson(NamedTuple):
    """What the network is told, and the change of the state that it should answer, in its units."""

    told: Numbers
    wanted: Numbers


async def spoken(texts: Sequence[str]) -> list[Pcm]:
    """Return each sentence by each voice, at 16 kHz."""
    tts, sounds = BuiltinTts(PhraseCache(0)), []
    for text, voice in product(texts, VOICES):
        stream = await tts.open(TtsOptions(voice=voice))
        stream.push_text(text)
        stream.flush()
        pieces = [piece async for piece in stream if isinstance(piece, TtsAudio)]
        pcm = from_bytes(b"".join(piece.pcm for piece in pieces))
        sounds.append(resampled(resampled(pcm, pieces[0].sample_rate, 24000), 24000, _RATE))
    await tts.close()
    return sounds


def made(count: int, random: np.random.Generator) -> list[Pcm]:
    """Return sounds of 2 s: three sung vowels for each sound of tones and each of noise."""
    time = np.arange(2 * _RATE) / _RATE
    sounds = []
    for kind in range(count):
        noise = random.standard_normal(len(time))
        if kind % 5 < 3:
            sound = _vowel(time, random) + noise * 10 ** random.uniform(-3, -1)
        elif kind % 5 == 3:
            tones = random.uniform(200, 6000, random.integers(1, 5))
            parts = [random.uniform(0.1, 1) * np.sin(2 * np.pi * tone * time) for tone in tones]
            sound = np.sum(parts, axis=0)
        else:
            width = random.integers(1, 12)
            sound = np.convolve(noise, np.ones(width) / width, "same")
        level = 0.6 + 0.4 * np.sin(2 * np.pi * random.uniform(0.2, 4) * time)
        sounds.append((sound * level / np.abs(sound).max() * 12000).astype(np.float32))
    return sounds


def _vowel(time: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return a sung vowel whose pitch wanders, at most 1."""
    pitch, highest = random.uniform(70, 350), random.uniform(3000, 7500)
    wander = 1 + random.uniform(0, 0.08) * np.sin(2 * np.pi * random.uniform(0.3, 4) * time)
    phase = 2 * np.pi * np.cumsum(pitch * wander) / _RATE
    centres = random.uniform((300, 900, 2300), (900, 2500, 3800))
    widths = random.uniform(60, 250, 3)
    sound = np.zeros(len(time))
    for harmonic in range(1, int(highest / pitch / 1.1)):
        formants = float(np.sum(1 / (1 + ((harmonic * pitch - centres) / widths) ** 2)))
        sound += formants * np.sin(harmonic * phase + random.uniform(0, 2 * np.pi))
    loudest: float = np.abs(sound).max()
    return sound / loudest


def _coders(slots: int) -> tuple[CompiledCoders, Concealer]:
    code = library()
    if code is None:
        raise SystemExit("there is no compiled code: run `python scripts/build_batch.py`")
    concealer = Concealer(_RATE, slots)
    coders = CompiledCoders(code, concealer)
    coders.grow(slots)
    return coders, concealer


def _decoded(pcm: Pcm) -> tuple[Bytes, Bytes, Pcm]:
    """Return the packets of a sentence, the states before each, and the sound that is decoded."""
    coders, _ = _coders(1)
    slot, length = np.zeros(1, np.intp), np.full(1, _FRAME // 2)
    codes = coders.encode(pcm[None], slot).reshape(-1, _FRAME // 2)
    states, heard = [], []
    for packet in codes:
        states.append(coders.states(slot)[0])
        heard.append(coders.decode(packet[None], length, slot)[0][0])
    return codes, np.array(states), np.concatenate(heard)


def lessons(sounds: Sequence[Pcm], random: np.random.Generator, wrong: float) -> Lesson:
    """Return a lesson for every packet of some sounds, at levels and beginnings by chance.

    Args:
        sounds: at 16 kHz.
        random: rules what is by chance.
        wrong: share of the gaps before which the state is wrong already.
    """
    parts = [_lessons(sound, gap, random, wrong) for sound, gap in product(sounds, range(1, _LONGEST + 1))]
    return Lesson(*(np.concatenate(numbers).astype(np.float32) for numbers in zip(*parts, strict=True)))


def _lessons(sound: Pcm, gap: int, random: np.random.Generator, wrong: float) -> Lesson:
    loud = np.clip(sound * 10 ** (random.uniform(-20, 3) / 20), -32767, 32767)
    lead = random.integers(4 * _FRAME, 5 * _FRAME)
    pcm = np.zeros((lead + len(loud)) // _FRAME * _FRAME + 5 * _FRAME, np.float32)
    pcm[lead : lead + len(loud)] = loud
    codes, states, heard = _decoded(pcm)
    first: Indices = np.arange(4, len(codes) - gap - 2)
    power = np.array([np.mean(heard[(at - 1) * _FRAME : (at + gap + 1) * _FRAME] ** 2) for at in first])
    first = first[
        (power > _QUIET * np.mean(heard**2)) & (random.random(len(first)) < (1.0, 0.35, 0.15)[gap - 1])
    ]
    coders, concealer = _coders(len(first))
    rows = np.arange(len(first))
    past, _ = concealer.tables()
    for row, at in enumerate(first):
        past[row] = heard[at * _FRAME - g722_gap.PAST : at * _FRAME]
    for _ in range(gap - 1):
        concealer.lost(rows, _FRAME)
    words = g722_gap.estimated(states[first])
    error = random.standard_normal(words.shape) * random.uniform(0.1, 0.6, (len(words), 1)) * g722_gap.UNITS
    before = g722_gap.with_words(states[first], words + error * (random.random((len(words), 1)) < wrong))
    ahead = concealer.ahead(rows, _FRAME + _UNSURE)
    after, told = coders.guessed(before, codes[first + gap], past[rows], ahead)
    wanted = g722_gap.estimated(states[first + gap]) - g722_gap.estimated(after)
    return Lesson(told.astype(np.float32), (wanted / g722_gap.UNITS).astype(np.float32))


def trained(lesson: Lesson, random: np.random.Generator) -> list[NDArray[np.float64]]:
    """Return weights and constants of both layers."""
    told, wanted = lesson
    mean, spread = told.mean(axis=0), told.std(axis=0) + 1e-3
    told = np.clip((told - mean) / spread, -g722_gap.MOST, g722_gap.MOST)
    sizes = (told.shape[1], g722_gap.HIDDEN), (g722_gap.HIDDEN, wanted.shape[1])
    layers = [
        random.standard_normal(sizes[0]) * sizes[0][0] ** -0.5,
        np.zeros(sizes[0][1]),
        random.standard_normal(sizes[1]) * sizes[1][0] ** -0.5 * 0.3,
        np.zeros(sizes[1][1]),
    ]
    layers = [layer.astype(np.float32) for layer in layers]
    drift, power = ([np.zeros_like(layer) for layer in layers] for _ in range(2))
    step = 0
    for epoch in range(_EPOCHS):
        rate = _FASTEST * (1 - epoch / _EPOCHS) + _SLOWEST
        for rows in np.array_split(random.permutation(len(told)), max(len(told) // _BATCH, 1)):
            step += 1
            hidden = np.tanh(told[rows] @ layers[0] + layers[1])
            error = hidden @ layers[2] + layers[3] - wanted[rows]
            error /= np.sqrt(1 + (error / _GREAT) ** 2) * len(rows)
            back = (error @ layers[2].T) * (1 - hidden**2)
            slopes = (
                told[rows].T @ back + _DECAY * layers[0],
                back.sum(axis=0),
                hidden.T @ error + _DECAY * layers[2],
                error.sum(axis=0),
            )
            for index, slope in enumerate(slopes):
                drift[index] += 0.1 * (slope - drift[index])
                power[index] += 0.01 * (slope**2 - power[index])
                size = np.sqrt(power[index] / (1 - 0.99**step)) + 1e-8
                layers[index] -= (rate / (1 - 0.9**step) * drift[index] / size).astype(np.float32)
    return [numbers.astype(np.float16).astype(np.float64) for numbers in (mean, spread, *layers)]


def errors(lesson: Lesson, layers: Sequence[NDArray[np.float64]]) -> str:
    """Return the errors of poles, step and zeros of both bands, without and with the network."""
    answer = g722_gap.answer(lesson.told.astype(np.float64), layers)
    both = [
        (np.sqrt(np.mean(rest**2, axis=0)) * g722_gap.UNITS).round().astype(int)
        for rest in (lesson.wanted, lesson.wanted - answer)
    ]
    return f"{both[0].tolist()}\n -> {both[1].tolist()}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and write the file of the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=7, help="how often all sentences are learnt from")
    parser.add_argument("--check", action="store_true", help="tell the errors for the sentences of the bench")
    options = parser.parse_args(arguments)
    random = np.random.default_rng(56)
    sounds = asyncio.run(spoken(SENTENCES))
    every = [lessons(sounds + made(_MADE, random), random, wrong=0.25) for _ in range(options.times)]
    lesson = Lesson(*(np.concatenate(numbers) for numbers in zip(*every, strict=True)))
    layers = trained(lesson, random)
    np.save(g722_gap.FILE, np.concatenate([layer.reshape(-1) for layer in layers]).astype(np.float16))
    sys.stdout.write(f"{len(lesson.told)} gaps\n{errors(lesson, layers)}")
    if options.check:
        others = lessons(asyncio.run(spoken(MEASURED)), random, wrong=0.0)
        sys.stdout.write(f"sentences of the bench\n{errors(others, layers)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
