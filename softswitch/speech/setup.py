"""What a provider is given when it is made."""

from dataclasses import dataclass

from softswitch import settings
from softswitch.speech.phrases import PhraseCache


@dataclass(frozen=True, slots=True)
class Setup:
    """The operator's wishes, and what all providers share."""

    settings: settings.Speech
    phrases: PhraseCache
    """Keeps sentences already spoken."""
