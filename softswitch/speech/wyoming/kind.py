"""The kind "wyoming"."""

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverSocket
from softswitch.speech.wyoming.asr import WyomingAsr
from softswitch.speech.wyoming.tts import WyomingTts


def _asr(_access: Access, _wanted: AsrQuery) -> AsrWay:
    return OverSocket(WyomingAsr)


KIND = Kind(needs=(), asr=_asr, tts=OverSocket(WyomingTts))
