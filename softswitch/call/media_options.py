"""What the options of an invite start on the media of an answered leg."""

from softswitch.call.vocabulary import effects
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.effects import Effect


def media_effects(option: CallOption, leg: str, *, tones_only: bool) -> list[Effect]:
    """Return the effects that the options of an invite start on an answered leg.

    Args:
        option: Option of the invite.
        leg: Name of the leg.
        tones_only: Whether digits of the leg come only as tones in its audio.
    """
    started: list[Effect] = []
    if not option.vad.off:
        started.append(effects.DetectSpeech(leg, option.vad))
    if tones_only if option.inband_dtmf is None else option.inband_dtmf:
        started.append(effects.SetInbandDtmf(leg, on=True))
    if option.aec:
        started.append(effects.SetEchoControl(leg, on=True))
    if option.agc:
        started.append(effects.SetGainControl(leg, on=True))
    if option.denoise:
        started.append(effects.SetDenoise(leg, on=True))
    if option.asr is not None:
        started.append(effects.Transcribe(leg, option.asr))
    if option.amd is not None:
        started.append(effects.DetectAnswer(leg, option.amd))
    if option.recorder is not None:
        started.append(effects.Record(leg, option.recorder))
    if option.media_pass is not None and option.media_pass.protocol == "raw":
        started.append(effects.PassMedia(leg, option.media_pass))
    if option.subscribe:
        started.append(effects.ShareAudio(leg))
    return started
