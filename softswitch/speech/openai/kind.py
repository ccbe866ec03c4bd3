"""The kind "openai": which of its protocols is used."""

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverHttp, OverSocket
from softswitch.speech.openai.realtime import RealtimeAsr
from softswitch.speech.openai.rest import RestAsr, RestTts


def _asr(access: Access, _wanted: AsrQuery) -> AsrWay:
    mode = access.mode or ("rest" if access.own_url else "realtime")
    return OverSocket(RealtimeAsr) if mode == "realtime" else OverHttp(RestAsr)


KIND = Kind(base_url="https://api.openai.com/v1", asr=_asr, tts=OverHttp(RestTts))
