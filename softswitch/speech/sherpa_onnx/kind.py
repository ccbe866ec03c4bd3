"""The kind "sherpa-onnx"."""

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverSocket
from softswitch.speech.sherpa_onnx.asr import SherpaAsr


def _asr(_access: Access, _wanted: AsrQuery) -> AsrWay:
    return OverSocket(SherpaAsr)


KIND = Kind(needs=(), asr=_asr)
