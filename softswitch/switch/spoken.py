"""Options of the call model in the words of the speech floor."""

from softswitch import settings
from softswitch.call import effects
from softswitch.call.commands import AsrOption
from softswitch.speech import provider as speech


def tts_options(effect: effects.SpeakText, defaults: settings.Speech) -> speech.TtsOptions:
    """Translate how a text is to be spoken."""
    option = effect.option
    return speech.TtsOptions(
        voice=option.voice or defaults.voice,
        language=option.language or ("" if option.voice else defaults.language),
        rate=option.rate,
        pitch=option.pitch,
        volume=option.volume,
        sample_rate=option.sample_rate,
        extra=option.extra,
    )


def asr_options(option: AsrOption, defaults: settings.Speech) -> speech.AsrOptions:
    """Translate how speech is to be recognised."""
    return speech.AsrOptions(
        language=option.language or defaults.language,
        model=option.model,
        grammar=option.grammar,
        hotwords=option.hotwords,
        extra=option.extra,
    )
