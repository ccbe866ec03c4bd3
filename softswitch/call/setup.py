"""What an invite's options switch on once the call is answered."""

from softswitch.call import effects
from softswitch.call.commands import CallOption
from softswitch.call.effects import Effect


def media_effects(option: CallOption, leg: str, *, tones_only: bool) -> list[Effect]:
    """Return what is to be started on a leg.

    Args:
        option: What the invite asked for.
        leg: Name of the leg.
        tones_only: Whether the leg knows no other way to carry digits than tones in its audio.
    """
    started: list[Effect] = []
    if not option.vad.off:
        started.append(effects.DetectSpeech(leg, option.vad))
    if tones_only if option.inband_dtmf is None else option.inband_dtmf:
        started.append(effects.DetectTones(leg))
    if option.denoise:
        started.append(effects.Denoise(leg))
    if option.asr is not None:
        started.append(effects.Transcribe(leg, option.asr))
    if option.recorder is not None:
        started.append(effects.Record(leg, option.recorder))
    if option.media_pass is not None:
        started.append(effects.PassMedia(leg, option.media_pass))
    if option.subscribe:
        started.append(effects.ShareAudio(leg))
    return started
