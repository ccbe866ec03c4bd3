"""What a synthesiser must be able to do, and what it is asked to say."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from softswitch.speech.builtin.lead_in import OnAudio


def ignore(_pcm: bytes, _rate: int) -> bool:
    """Want no audio."""
    return False


class Utterance(msgspec.Struct, frozen=True):
    """One sentence to be spoken."""

    text: str
    voice: str
    """One of the engine's own."""
    rate: float = 1.0
    pitch: float = 1.0


class VoiceEngine(Protocol):
    """A synthesiser with state of its own: only one thread may use it, one sentence at a time."""

    def speak(self, utterance: Utterance, on_audio: OnAudio) -> Sequence[tuple[str, int]]:
        """Speak, and return where the words begin, ms.

        Args:
            utterance: what to say.
            on_audio: is given the audio piece by piece; when it returns False the rest is not made.
        """
