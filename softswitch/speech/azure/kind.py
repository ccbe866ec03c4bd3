"""The kind "azure": recognition and synthesis have a host each in a region."""

import msgspec

from softswitch.speech.azure.asr import AzureAsr
from softswitch.speech.azure.tts import AzureTts
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverHttp, OverSocket, Source, TtsQuery

ASR_HOST, TTS_HOST = ".stt.speech.microsoft.com", ".tts.speech.microsoft.com"


def _asr(_access: Access, _wanted: AsrQuery) -> AsrWay:
    return OverSocket(AzureAsr)


def _tts(access: Access, wanted: TtsQuery, source: Source) -> AzureTts:
    there = access.base_url.replace(ASR_HOST, TTS_HOST)
    return AzureTts(msgspec.structs.replace(access, base_url=there), wanted, source)


KIND = Kind(base_url=f"https://{{region}}{ASR_HOST}", needs=("key", "region"), asr=_asr, tts=OverHttp(_tts))
