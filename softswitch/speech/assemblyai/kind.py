"""The kind "assemblyai"."""

from softswitch.speech.assemblyai.asr import UniversalAsr
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverSocket


def _asr(_access: Access, _wanted: AsrQuery) -> AsrWay:
    return OverSocket(UniversalAsr)


KIND = Kind(base_url="https://streaming.assemblyai.com", asr=_asr)
