"""The kind "tencent": recognition and synthesis have a host each."""

import msgspec

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverSocket, Source, TtsQuery
from softswitch.speech.tencent.asr import TencentAsr
from softswitch.speech.tencent.tts import TencentTts

ASR_HOST = "https://asr.cloud.tencent.com"
TTS_HOST = "https://tts.cloud.tencent.com"


def _asr(_access: Access, _wanted: AsrQuery) -> AsrWay:
    return OverSocket(TencentAsr)


def _tts(access: Access, wanted: TtsQuery, source: Source) -> TencentTts:
    if access.base_url == ASR_HOST:
        access = msgspec.structs.replace(access, base_url=TTS_HOST)
    return TencentTts(access, wanted, source)


KIND = Kind(base_url=ASR_HOST, needs=("key", "secret_id", "app_id"), asr=_asr, tts=OverSocket(_tts))
