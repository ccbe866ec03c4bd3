"""Streaming synthesis (Tencent Cloud documentation, TTS, "TextToStreamAudioWSv2")."""

from collections.abc import Sequence
from math import log2

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.base import TtsDefaults
from softswitch.speech.hosted.kind import Source, TtsQuery, nearest
from softswitch.speech.hosted.wire import (
    Audio,
    Done,
    Endpoint,
    Failed,
    Message,
    Ready,
    TtsEvent,
    Unreadable,
    Words,
    at,
    number_of,
    objects,
    read_json,
    text_of,
    to_json,
)
from softswitch.speech.tencent.signing import signed_url

VOICE = "101001"
RATES = (8000, 16000, 24000)
_VALID_S = 86400
_CODES = {10001: 400, 10002: 402, 10003: 401, 10004: 429, 10008: 429}


class TencentTts(TtsDefaults):
    """A connection speaks one text: the vendor says only of the whole session that it is spoken."""

    awaits_ready = True
    reusable = False

    def __init__(self, access: Access, wanted: TtsQuery, source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._source = source
        self._session = source.new_id()
        self.rate = nearest(wanted.sample_rate, RATES, 16000)

    def endpoint(self) -> Endpoint:
        """Return the signed address."""
        now = int(self._source.now())
        query: dict[str, object] = {
            "Action": "TextToStreamAudioWSv2",
            "AppId": self._access.app_id,
            "SecretId": self._access.secret_id,
            "ModelType": 1,
            "VoiceType": self._wanted.voice or VOICE,
            "Codec": "pcm",
            "SampleRate": self.rate,
            "Speed": _speed(self._wanted.rate),
            "Volume": _volume(self._wanted.volume),
            "SessionId": self._session,
            "EnableSubtitle": "True",
            "Timestamp": now,
            "Expired": now + _VALID_S,
        }
        query |= self._access.options
        url = self._access.socket_url("/stream_wsv2")
        return Endpoint(signed_url(url, query, self._access.key, verb="GET", field="Signature"))

    def speak(self, text: str) -> Sequence[Message]:
        """Return the text and the end of the session."""
        return (self._action("ACTION_SYNTHESIS", text), self._action("ACTION_COMPLETE", ""))

    def cancel(self) -> Sequence[Message]:
        """Return what makes the vendor drop the text."""
        return (self._action("ACTION_RESET", ""),)

    def receive(self, message: Message) -> Sequence[TtsEvent]:
        """Read a message; binary ones are audio."""
        if isinstance(message, bytes):
            return (Audio(message),)
        found = read_json(message)
        code = None if found is None else number_of(found, "code")
        if found is None or code is None:
            return (Unreadable(),)
        if code:
            return (Failed(text_of(found, "message"), _CODES.get(int(code), 502)),)
        if found.get("final") == 1:
            return (Done(),)
        if found.get("ready") == 1:
            return (Ready(),)
        words = tuple(
            (text_of(word, "Text"), round(number_of(word, "BeginTime") or 0))
            for word in objects(at(found, "result", "subtitles"))
            if text_of(word, "Text").strip()
        )
        return (Words(words),) if words else ()

    def _action(self, action: str, data: str) -> str:
        return to_json(
            {
                "session_id": self._session,
                "message_id": self._source.new_id(),
                "action": action,
                "data": data,
            }
        )


def _speed(rate: float) -> float:
    """Return a factor of speed as the vendor has it: -2 is 0.6, 0 is 1, 2 is 1.5, 6 is 2.5."""
    if rate <= 1.0:
        return round(max((rate - 1.0) * 5.0, -2.0), 2)
    return round(min((rate - 1.0) * 4.0, 6.0), 2)


def _volume(volume: float) -> float:
    """Return a factor of loudness in the vendor's -10 to 10; a step is about 1 dB."""
    return round(min(max(6.02 * log2(max(volume, 0.01)), -10.0), 10.0), 2)
