"""The kind "elevenlabs"."""

from softswitch.speech.elevenlabs.asr import ScribeAsr
from softswitch.speech.elevenlabs.tts import MultiContextTts
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverSocket


def _asr(_access: Access, _wanted: AsrQuery) -> AsrWay:
    return OverSocket(ScribeAsr)


KIND = Kind(base_url="https://api.elevenlabs.io", asr=_asr, tts=OverSocket(MultiContextTts))
