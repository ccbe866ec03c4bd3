"""The voices of flite and espeak-ng in a process of their own: an engine for `worker`.

Both are libraries in C that are given whatever text callers bring; a fault in one ends this process and one
sentence, and no call.
"""

from typing import Any

from softswitch.speech.builtin import espeak, flite
from softswitch.speech.builtin.lead_in import LeadIn
from softswitch.speech.builtin.neural_voice import PIECE
from softswitch.speech.builtin.voice_engine import Utterance, VoiceEngine
from softswitch.speech.builtin.worker import Emit
from softswitch.speech.interface import SpeechUnavailableError


class LibraryVoices:
    """Those of the two that this host has."""

    def __init__(self) -> None:
        """Load them.

        Raises:
            SpeechUnavailableError: this host has neither.
        """
        self._engines: dict[str, VoiceEngine] = {}
        self._missing: dict[str, str] = {}
        self._languages: list[str] = []
        try:
            self._engines["flite"] = flite.engine()
        except SpeechUnavailableError as error:
            self._missing["flite"] = str(error)
        try:
            speaker = espeak.engine()
        except SpeechUnavailableError as error:
            self._missing["espeak"] = str(error)
        else:
            self._engines["espeak"] = speaker
            self._languages = speaker.languages()
        if not self._engines:
            raise SpeechUnavailableError("; ".join(self._missing.values()))

    def about(self) -> dict[str, Any]:
        """Return the languages of espeak-ng, and what is missing."""
        return {"languages": self._languages, "missing": self._missing}

    def work(self, job: dict[str, Any], _body: bytes, emit: Emit) -> dict[str, Any]:
        """Speak; return where the words begin.

        Args:
            job: ``engine``, ``voice``, ``text``, ``rate`` and ``pitch``.
            _body: nothing.
            emit: takes PCM16 with its rate before it.
        """

        def take(pcm: bytes, rate: int) -> bool:
            if pcm:
                emit(PIECE.pack(rate) + pcm)
            return True

        lead_in = LeadIn(take)
        utterance = Utterance(job["text"], job["voice"], job["rate"], job["pitch"])
        words = self._engines[job["engine"]].speak(utterance, lead_in.take)
        return {"words": [[word, max(at - lead_in.trimmed_ms, 0)] for word, at in words]}


load = LibraryVoices
