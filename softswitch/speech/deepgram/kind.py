"""The kind "deepgram": the model decides between listen and Flux."""

from softswitch.speech.deepgram.flux import FluxAsr
from softswitch.speech.deepgram.listen import ListenAsr
from softswitch.speech.deepgram.speak import SpeakTts
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.kind import AsrQuery, AsrWay, Kind, OverSocket


def _asr(_access: Access, wanted: AsrQuery) -> AsrWay:
    return OverSocket(FluxAsr) if wanted.model.startswith("flux") else OverSocket(ListenAsr)


KIND = Kind(base_url="https://api.deepgram.com", asr=_asr, tts=OverSocket(SpeakTts))
