"""The speaker that is always there: a neural voice for English, flite and espeak-ng for all else.

All three work in processes of their own, which every call shares. Which one speaks is decided sentence by
sentence.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

import numpy as np

from softswitch.audio import pcm as pcm16
from softswitch.speech.builtin import flite, neural_voice
from softswitch.speech.builtin.manner import MarkupCutter, shown, understood
from softswitch.speech.builtin.pronunciation import Lexicon, marked, unmarked
from softswitch.speech.builtin.scripts import language_of
from softswitch.speech.builtin.spoken_english import SAY_AS, spoken
from softswitch.speech.builtin.workers import WorkerPool
from softswitch.speech.interface import SpeechUnavailableError, TtsOptions, TtsStream
from softswitch.speech.phrases import PhraseCache, Spoken
from softswitch.speech.sentences import first_clause
from softswitch.speech.setup import Setup
from softswitch.speech.shared_speech import SharedSpeech
from softswitch.speech.ssml import Pause, Say
from softswitch.speech.tts_stream import SentenceStream

logger = logging.getLogger(__name__)

NAME = "builtin"
NEURAL = neural_voice.NAME
"""Name of the neural voice."""
ENGINES = "softswitch.speech.builtin.neural_voice", "softswitch.speech.builtin.library_voices"
FIRST_PATIENCE_S, LATER_PATIENCE_S = 1.5, 6.0
"""How long a first sentence may wait for its turn, and a later one, which is made while others are heard."""
HURRY_S = 0.06
"""From so long a wait on, first sentences are spoken in two parts:

the first parts of all callers come before the second of any.
"""
_RATE = 24000
_ENGLISH_ESPEAK = "en-us"
_SPEEDS = 800.0, 2000.0
"""Characters that one process speaks in a second, neural and library voices, until that is measured."""


class BuiltinTts:
    """The pools of processes, and the streams that share them."""

    name = NAME

    def __init__(
        self,
        cache: PhraseCache,
        workers: int = 2,
        lexicon: Mapping[str, str] | None = None,
        engines: tuple[str, str] = ENGINES,
    ) -> None:
        """Begin without processes.

        Args:
            cache: keeps sentences that were spoken.
            workers: processes for the neural voice; each takes some 30 MB beside the 170 that they share.
            lexicon: how the operator wants words to be said.
            engines: modules of the neural voice and of the library voices.
        """
        self._cache = cache
        self._lexicon = Lexicon(lexicon or {})
        self._shared = SharedSpeech()
        self._neural = WorkerPool("tts", engines[0], workers, speed=_SPEEDS[0])
        self._library = WorkerPool("tts_library", engines[1], 1, speed=_SPEEDS[1])
        self._missing: dict[str, str] = {}
        self._languages: list[str] = []
        self._loaded = False

    @property
    def counters(self) -> dict[str, float]:
        """What happened so far."""
        return self._neural.counters | self._library.counters | {"tts_shared": self._shared.shared}

    async def load(self) -> None:
        """Load what there is.

        Raises:
            SpeechUnavailableError: no engine is installed.
        """
        if self._loaded:
            return
        for name, pool in ((NEURAL, self._neural), ("library", self._library)):
            try:
                await pool.start()
            except SpeechUnavailableError as error:
                self._missing[name] = str(error)
        about = self._library.about
        self._languages = list(about.get("languages", ()))
        self._missing |= about.get("missing", {})
        if "library" in self._missing:
            self._missing |= dict.fromkeys(("flite", "espeak"), self._missing.pop("library"))
        self._loaded = True
        logger.info(
            "voices loaded", extra={"missing": sorted(self._missing), "languages": len(self._languages)}
        )
        self._require_one()

    def _require_one(self) -> None:
        if {NEURAL, "flite", "espeak"} <= self._missing.keys():
            raise SpeechUnavailableError("; ".join(dict.fromkeys(self._missing.values())))

    @property
    def languages(self) -> Sequence[str]:
        """Return the languages that are spoken; empty until the engines are loaded."""
        return tuple(self._languages)

    def voices(self) -> Sequence[str]:
        """Return the voices: the neural one and flite's by name, espeak-ng's by language."""
        neural = () if NEURAL in self._missing else (NEURAL,)
        return (*neural, *(() if "flite" in self._missing else flite.VOICES), *self._languages)

    async def open(self, options: TtsOptions) -> TtsStream:
        """Open a stream; an unknown voice is replaced and warned of.

        Raises:
            SpeechUnavailableError: no engine is installed.
        """
        await self.load()
        self._require_one()
        warnings = []
        voice = options.voice.strip().lower()
        if voice and voice not in self.voices():
            warnings.append(f"speaker: there is no voice {options.voice!r}; the default voice speaks")
            voice = ""
        language = self._language(options.language)
        if options.language and not language:
            warnings.append(f"language: {options.language!r} is not spoken here; the default voice speaks")
        said = 0

        async def synthesize(sentence: str) -> AsyncGenerator[Spoken, None]:
            nonlocal said
            rank, said = said, said + 1
            part = understood(sentence)
            if isinstance(part, Pause):
                yield Spoken(bytes(2 * _RATE * part.ms // 1000), _RATE)
                return
            manner = Say(part.text, options.rate * part.rate, options.pitch * part.pitch)
            louder = options.volume * part.volume
            async for piece in self._speak(manner, voice, language, rank):
                yield piece if louder == 1.0 else _louder(piece, louder)

        return SentenceStream(
            NAME,
            synthesize,
            cache=self._cache,
            key=(voice, language, options.rate, options.pitch, options.volume),
            warnings=warnings,
            cutter=MarkupCutter(SAY_AS),
            shown=shown,
        )

    async def _speak(self, part: Say, voice: str, language: str, rank: int) -> AsyncGenerator[Spoken, None]:
        """Yield a sentence in pieces; equal ones of several streams are made once."""
        engine, name = self._choose(part.text, voice, language)
        text = self._lexicon.apply(part.text)
        if name == NEURAL or engine == "flite" or name.startswith("en"):
            text = spoken(text)
        text = marked(text) if engine == NEURAL else unmarked(text)
        make = self._maker(engine, name, Say(text, part.rate, part.pitch), rank)
        async for piece in self._shared.speak((name, part.rate, part.pitch, text), make):
            yield piece

    def _maker(
        self, engine: str, voice: str, part: Say, rank: int
    ) -> Callable[[], AsyncGenerator[Spoken, None]]:
        """Return what makes a sentence in a process of its engine."""
        pool = self._neural if engine == NEURAL else self._library
        request = {
            "engine": engine,
            "voice": voice,
            "rate": part.rate,
            "pitch": part.pitch,
        }

        async def make() -> AsyncGenerator[Spoken, None]:
            hurried = not rank and pool.wait_s(0.0) > HURRY_S
            clauses = first_clause(part.text) if hurried else (part.text,)
            rate, samples = _RATE, 0
            for index, text in enumerate(clauses):
                at_ms = samples * 1000 // rate
                patience_s = LATER_PATIENCE_S if rank or index else FIRST_PATIENCE_S
                async for reply in pool.run(
                    request | {"text": text},
                    rank=rank + index / 2,
                    cost=len(text) + 10,
                    patience_s=patience_s,
                ):
                    if isinstance(reply, dict):
                        yield Spoken(b"", rate, tuple((word, at_ms + at) for word, at in reply["words"]))
                    else:
                        (rate,) = neural_voice.PIECE.unpack_from(reply)
                        samples += len(reply) // 2
                        yield Spoken(reply[neural_voice.PIECE.size :], rate)

        return make

    def _language(self, tag: str) -> str:
        """Return the language that espeak-ng knows for a BCP 47 tag; empty for none."""
        wanted = tag.strip().lower().replace("_", "-")
        aliases = {
            "zh": "cmn",
            "zh-cn": "cmn",
            "zh-tw": "cmn",
            "zh-hk": "yue",
            "en": _ENGLISH_ESPEAK,
            "no": "nb",
        }
        for candidate in (wanted, wanted.split("-")[0]):
            found = aliases.get(candidate, candidate)
            if found in self._languages or (found.startswith("en") and found):
                return found
        return ""

    def _choose(self, sentence: str, voice: str, language: str) -> tuple[str, str]:
        """Return the engine and its voice; a voice that cannot read the script does not get to try."""
        script = language_of(sentence)
        own = (NEURAL, *flite.VOICES)
        if script and "espeak" not in self._missing:
            for named in (voice, language):
                if named and named not in own and not named.startswith("en"):
                    return "espeak", named
            return "espeak", script if script in self._languages else _ENGLISH_ESPEAK
        if voice in own and (NEURAL if voice == NEURAL else "flite") not in self._missing:
            return (NEURAL, NEURAL) if voice == NEURAL else ("flite", voice)
        if voice and "espeak" not in self._missing:
            return "espeak", voice
        if language and not language.startswith("en") and "espeak" not in self._missing:
            return "espeak", language
        if NEURAL not in self._missing:
            return NEURAL, NEURAL
        if "flite" not in self._missing:
            return "flite", flite.VOICES[0]
        return "espeak", language or _ENGLISH_ESPEAK

    async def close(self) -> None:
        """End all processes."""
        await self._neural.close()
        await self._library.close()


def _louder(piece: Spoken, volume: float) -> Spoken:
    samples = pcm16.from_bytes(piece.pcm) * np.float32(min(max(volume, 0.0), 4.0))
    return Spoken(pcm16.to_bytes(samples), piece.sample_rate, piece.words)


def make(setup: Setup) -> BuiltinTts:
    """Make the provider (entry point ``builtin`` of ``softswitch.tts``)."""
    return BuiltinTts(setup.phrases, setup.settings.workers, setup.settings.pronunciations())
