"""The kind "google": recognition and synthesis have a host each."""

import msgspec

from softswitch.speech.google.rest import GoogleAsr, GoogleTts
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverHttp, Source, TtsQuery

ASR_HOST, TTS_HOST = "https://speech.googleapis.com", "https://texttospeech.googleapis.com"


def _asr(_access: Access, _wanted: AsrQuery) -> AsrWay:
    return OverHttp(GoogleAsr)


def _tts(access: Access, wanted: TtsQuery, source: Source) -> GoogleTts:
    if access.base_url == ASR_HOST:
        access = msgspec.structs.replace(access, base_url=TTS_HOST)
    return GoogleTts(access, wanted, source)


KIND = Kind(base_url=ASR_HOST, asr=_asr, tts=OverHttp(_tts))
