"""The kind "vosk"."""

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverSocket
from softswitch.speech.vosk.asr import VoskAsr


def _asr(_access: Access, _wanted: AsrQuery) -> AsrWay:
    return OverSocket(VoskAsr)


KIND = Kind(needs=(), asr=_asr)
