"""The neural English voice: an engine for :mod:`softswitch.speech.builtin.worker`.

The voice "heart" of the package `hibari-tts` (Apache-2.0), 24 kHz. The package would download other voices;
only the one inside it is ever asked for, and its files are checked before it is loaded.
"""

import gzip
import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softswitch.speech.builtin.completeness import Tagger
from softswitch.speech.builtin.lead_in import LeadIn
from softswitch.speech.builtin.model_files import ModelFile
from softswitch.speech.builtin.pronunciation import unmarked
from softswitch.speech.builtin.voice_frames import RATE, Spectra, hiss, sound
from softswitch.speech.builtin.worker import Emit
from softswitch.speech.interface import SpeechUnavailableError

NAME = "heart"
REQUIREMENT = "hibari-tts==0.2.1"
RATES, PITCHES = (0.5, 2.0), (0.5, 2.0)
"""Least and greatest factor."""
PIECE = struct.Struct("<I")
"""Sample rate in Hz before the PCM16 of each piece."""
_NOISE_FRAMES = 501
"""Five seconds of noise, which no listener hears come again."""
_PUNCTUATION = '.,;:!?"()[]…'
_PAUSE_PHONEMES = 4
"""How long a comma lasts, in phonemes: for the times of words, which the network does not tell."""

FILES = tuple(
    ModelFile("hibari", f"assets/{name}", sha256, REQUIREMENT)
    for name, sha256 in (
        ("hibari.onnx", "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"),
        ("oov.onnx", "d3cfd8122c5f172a98c8de38268bf1213ee09f2c2ae4df6e055fc6532590fe76"),
        ("oov.json", "b462e6e5dbdf0e7346c732385d0dd844f612f1770871441c56932bff4ca75d8c"),
        ("vocab.json", "70abefbe8a1c8865e43e0a43bbdc25b91a33e4aa053479d443ccf23e20a59e5d"),
        ("voices.json", "f8b7657ecd0e0e362d3403e99538c0e5bfe20d6a903dfcd04c772b2c73abb204"),
        ("tagger.json.gz", "d2da7502284bbbe45d49e0b7ce3ce67bdab82254150f4317f1b8559b4d38d0eb"),
        ("tokenizer_exceptions.json", "ddf3a3da07bdcf5144270ea4530191d8580fb4fd6f5ae93296e87916e795659a"),
        ("normalize.json", "d478ff05404bc43ac3e0468e306674e51085f1b1afc94cdef7c7ea4fb0d56bd8"),
        ("lexicon_us_gold.json.gz", "63ae94f8ef0e906d5b24fe9b59ffcbd1529aca5686a774610e43973cbaa86ad2"),
        ("lexicon_us_silver.json.gz", "c4c2546ebf1eb07010331e7ef785a431aa17ba8e7bfb6b4af8d654ee96a71fd3"),
    )
)


def installed() -> bool:
    """Return whether the voice is on the disk."""
    return FILES[0].installed()


def tagger() -> Tagger | None:
    """Return what tells the parts of speech of English words; None where the known file is missing."""
    file = next(file for file in FILES if file.path.endswith("tagger.json.gz"))
    try:
        data = file.read()
    except SpeechUnavailableError:
        return None
    from hibari.g2p.tagger import Tagger as Perceptron  # noqa: PLC0415  (only in its own process)

    known: Tagger = Perceptron(json.loads(gzip.decompress(data)))
    return known


class NeuralVoice:
    """The loaded voice."""

    def __init__(self) -> None:
        """Load it.

        Raises:
            SpeechUnavailableError: the package is missing or another version.
        """
        for file in FILES:
            file.locate()
        import hibari  # noqa: PLC0415  (only in its own process)
        from hibari import dsp  # noqa: PLC0415

        self._voice = hibari.Hibari(voice=NAME, threads=1)
        self._pulses = dsp.pulses
        self._noise = hiss(_NOISE_FRAMES, 1)
        for _ in self._speak("Good morning, how may I help you?", 1.0, 1.0):
            pass  # The first run of a network is slow.

    def about(self) -> dict[str, Any]:
        """Return the name of the voice."""
        return {"voice": NAME, "rate": RATE}

    def work(self, job: dict[str, Any], _body: bytes, emit: Emit) -> dict[str, Any]:
        """Speak; return where the words begin.

        Args:
            job: ``text`` (a word in brackets may be followed by its phonemes: ``[SIP](/sip/)``),
                ``rate`` and ``pitch``.
            _body: nothing.
            emit: takes PCM16 with its rate before it.
        """

        def take(pcm: bytes, rate: int) -> bool:
            if pcm:
                emit(PIECE.pack(rate) + pcm)
            return True

        lead_in = LeadIn(take)
        rate = min(max(float(job["rate"]), RATES[0]), RATES[1])
        pitch = min(max(float(job["pitch"]), PITCHES[0]), PITCHES[1])
        samples = 0
        phonemes: list[str] = []
        for spoken, block in self._speak(str(job["text"]), rate, pitch):
            if spoken:
                phonemes.append(spoken)
            samples += len(block)
            pcm = np.clip(block * np.float32(32767.0), -32768, 32767).astype("<i2").tobytes()
            lead_in.take(pcm, RATE)
        length_ms = samples * 1000 // RATE
        words = word_times(str(job["text"]), " ".join(phonemes), length_ms)
        return {"words": [[word, max(at - lead_in.trimmed_ms, 0)] for word, at in words]}

    def _speak(self, text: str, rate: float, pitch: float) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield blocks of samples, with the phonemes before the first of each part."""
        voice = self._voice
        for phonemes in voice.phonemize(text):
            ids = voice.ids(phonemes)
            if len(ids) < 3:
                continue
            feeds = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([rate], np.float32)}
            harmonic, turn, noise, free, phase, tone = (part[0] for part in voice.sess.run(None, feeds))
            pulses = self._pulses(tone * np.float32(pitch))
            spoken = phonemes
            for block in sound(Spectra(harmonic, turn, noise, free, phase), pulses, self._noise):
                yield spoken, block
                spoken = ""


def word_times(text: str, phonemes: str, length_ms: int) -> list[tuple[str, int]]:
    """Return where the words of a text begin, ms, as far as their phonemes let one guess.

    Each phoneme is taken to last equally long and punctuation like :data:`_PAUSE_PHONEMES`. Where a text has
    other words than are spoken (numbers, abbreviations), its letters are counted instead.
    """
    words = unmarked(text).split()
    spoken = phonemes.split()
    sizes: Sequence[str] = spoken if len(spoken) == len(words) else words
    weights = [sum(map(_weight, part)) + 1 for part in sizes]
    total = sum(weights) or 1
    times, at = [], 0
    for word, weight in zip(words, weights, strict=True):
        times.append((word.strip(_PUNCTUATION) or word, at * length_ms // total))
        at += weight
    return times


def _weight(sign: str) -> int:
    if sign in "ˈˌː":
        return 0
    return _PAUSE_PHONEMES if sign in ",.;:!?—…" else 1


load = NeuralVoice
