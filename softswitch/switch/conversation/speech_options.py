"""Options of the call model as options of the speech package."""

from softswitch.call.vocabulary import effects
from softswitch.call.vocabulary.commands import AsrOption, GrammarOption
from softswitch.egress import Asker
from softswitch.speech import provider as speech


def tts_options(effect: effects.SpeakText, asker: Asker, meter: speech.Meter) -> speech.TtsOptions:
    """Return the options of synthesis for one text; what is left open is up to the providers.

    Args:
        effect: The text and how it is to be spoken.
        asker: The call.
        meter: Counts what the call uses of hosted providers.
    """
    option = effect.option
    return speech.TtsOptions(
        voice=option.voice,
        language=option.language,
        rate=option.rate,
        pitch=option.pitch,
        volume=option.volume,
        sample_rate=option.sample_rate,
        extra=option.extra,
        account=asker.account,
        call=asker.call,
        meter=meter,
    )


def grammar(option: str | tuple[str, ...] | GrammarOption) -> str | tuple[str, ...] | speech.Grammar:
    """Return a grammar of the call model as one of the speech package."""
    if not isinstance(option, GrammarOption):
        return option
    items = tuple(
        item if isinstance(item, str) else speech.Intent(item.name, item.phrases) for item in option.items
    )
    return speech.Grammar(option.type, items, option.threshold)


def asr_options(option: AsrOption, asker: Asker, meter: speech.Meter) -> speech.AsrOptions:
    """Return the options of recognition; the arguments are those of :func:`tts_options`."""
    return speech.AsrOptions(
        language=option.language,
        model=option.model,
        grammar=grammar(option.grammar),
        hotwords=option.hotwords,
        extra=option.extra,
        account=asker.account,
        call=asker.call,
        meter=meter,
    )
