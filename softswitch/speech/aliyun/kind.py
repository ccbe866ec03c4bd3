"""The kind "aliyun"."""

from softswitch.speech.aliyun.asr import ParaformerAsr
from softswitch.speech.aliyun.tts import CosyVoiceTts
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverSocket


def _asr(_access: Access, _wanted: AsrQuery) -> AsrWay:
    return OverSocket(ParaformerAsr)


KIND = Kind(base_url="https://dashscope.aliyuncs.com", asr=_asr, tts=OverSocket(CosyVoiceTts))
