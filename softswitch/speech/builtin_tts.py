"""The speaker that is always there: flite for English where the host has it, espeak-ng for all else."""

import logging
from collections.abc import AsyncGenerator, Sequence

import numpy as np

from softswitch.audio import pcm as pcm16
from softswitch.speech import espeak, flite
from softswitch.speech.interface import SpeechUnavailableError, TtsOptions, TtsStream
from softswitch.speech.phrases import PhraseCache, Spoken
from softswitch.speech.scripts import language_of
from softswitch.speech.setup import Setup
from softswitch.speech.tts_stream import SentenceStream
from softswitch.speech.voice_engine import Utterance, VoiceThread

logger = logging.getLogger(__name__)

NAME = "builtin"
_ENGLISH_ESPEAK = "en-us"


class BuiltinTts:
    """Both engines, each in its thread; which one speaks is decided sentence by sentence."""

    name = NAME

    def __init__(self, cache: PhraseCache) -> None:
        """Begin without loading anything."""
        self._cache = cache
        self._threads = {
            "flite": VoiceThread("flite", flite.engine),
            "espeak": VoiceThread("espeak", self._load_espeak),
        }
        self._languages: list[str] = []
        self._missing: dict[str, str] = {}
        self._loaded = False

    def _load_espeak(self) -> espeak.Espeak:
        engine = espeak.engine()
        self._languages = engine.languages()
        return engine

    async def load(self) -> None:
        """Load what there is.

        Raises:
            SpeechUnavailableError: neither engine is installed.
        """
        if self._loaded:
            return
        for name, thread in self._threads.items():
            try:
                await thread.load()
            except SpeechUnavailableError as error:
                self._missing[name] = str(error)
        self._loaded = True
        logger.info(
            "voices loaded", extra={"missing": sorted(self._missing), "languages": len(self._languages)}
        )
        if len(self._missing) == len(self._threads):
            raise SpeechUnavailableError("; ".join(self._missing.values()))

    def voices(self) -> Sequence[str]:
        """Return the voices: flite's by name, espeak-ng's by language."""
        return (*(() if "flite" in self._missing else flite.VOICES), *self._languages)

    async def open(self, options: TtsOptions) -> TtsStream:
        """Open a stream; an unknown voice is replaced and warned of.

        Raises:
            SpeechUnavailableError: neither engine is installed.
        """
        await self.load()
        if len(self._missing) == len(self._threads):
            raise SpeechUnavailableError("; ".join(self._missing.values()))
        warnings = []
        voice = options.voice.strip().lower()
        if voice and voice not in self.voices():
            warnings.append(f"speaker: there is no voice {options.voice!r}; the default voice speaks")
            voice = ""
        language = self._language(options.language)
        if options.language and not language:
            warnings.append(f"language: {options.language!r} is not spoken here; the default voice speaks")

        async def synthesize(sentence: str) -> AsyncGenerator[Spoken, None]:
            engine, name = self._choose(sentence, voice, language)
            utterance = Utterance(sentence, name, options.rate, options.pitch)
            async for piece in self._threads[engine].speak(utterance):
                yield piece if options.volume == 1.0 else _louder(piece, options.volume)

        key = (voice, language, options.rate, options.pitch, options.volume)
        return SentenceStream(NAME, synthesize, cache=self._cache, key=key, warnings=warnings)

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
        if script and "espeak" not in self._missing:
            for named in (voice, language):
                if named and named not in flite.VOICES and not named.startswith("en"):
                    return "espeak", named
            return "espeak", script if script in self._languages else _ENGLISH_ESPEAK
        if "flite" in self._missing or (voice and voice not in flite.VOICES):
            return "espeak", voice or language or _ENGLISH_ESPEAK
        if voice or "espeak" in self._missing:
            return "flite", voice or flite.VOICES[0]
        return (
            ("flite", flite.VOICES[0]) if language.startswith("en") or not language else ("espeak", language)
        )

    async def close(self) -> None:
        """Let the threads end."""
        for thread in self._threads.values():
            thread.close()


def _louder(piece: Spoken, volume: float) -> Spoken:
    samples = pcm16.from_bytes(piece.pcm) * np.float32(min(max(volume, 0.0), 4.0))
    return Spoken(pcm16.to_bytes(samples), piece.sample_rate, piece.words)


def make(setup: Setup) -> BuiltinTts:
    """Make the provider (entry point ``builtin`` of ``softswitch.tts``)."""
    return BuiltinTts(setup.phrases)
