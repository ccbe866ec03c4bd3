"""The kind "cartesia"."""

from softswitch.speech.cartesia.asr import InkAsr
from softswitch.speech.cartesia.tts import SonicTts
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverSocket


def _asr(_access: Access, _wanted: AsrQuery) -> AsrWay:
    return OverSocket(InkAsr)


KIND = Kind(base_url="https://api.cartesia.ai", asr=_asr, tts=OverSocket(SonicTts))
