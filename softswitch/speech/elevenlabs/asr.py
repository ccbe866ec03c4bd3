"""Realtime recognition (ElevenLabs documentation, "Realtime speech to text")."""

from base64 import b64encode
from collections.abc import Sequence

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.base import AsrDefaults
from softswitch.speech.hosted.kind import AsrQuery, Source, short
from softswitch.speech.hosted.wire import (
    AsrEvent,
    Endpoint,
    Failed,
    Flushed,
    Heard,
    Message,
    Ready,
    Unreadable,
    read_json,
    text_of,
    to_json,
)

MODEL = "scribe_v2_realtime"
_CODES = {
    "auth_error": 401,
    "quota_exceeded": 402,
    "rate_limited": 429,
    "queue_overflow": 429,
    "resource_exhausted": 429,
    "input_error": 400,
    "unaccepted_terms": 403,
}
_NOTHING = frozenset({"commit_throttled", "insufficient_audio_activity"})
"""What is said of a commit with too little audio."""


class ScribeAsr(AsrDefaults):
    """The switch decides where a segment ends."""

    piece_ms = 100
    realtime = False
    awaits_ready = True
    answers_finalize = False

    def __init__(self, access: Access, wanted: AsrQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted

    def endpoint(self) -> Endpoint:
        """Return the address with all parameters."""
        query: dict[str, object] = {
            "model_id": self._wanted.model or MODEL,
            "audio_format": f"pcm_{self.rate}",
            "commit_strategy": "manual",
            "language_code": short(self._wanted.language),
            "keyterms": self._wanted.hotwords,
        }
        query |= self._access.options
        url = self._access.socket_url("/v1/speech-to-text/realtime", query)
        return Endpoint(url, {"xi-api-key": self._access.key})

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """Return the audio in Base64."""
        return (self._chunk(pcm, commit=False),)

    def finalize(self) -> Sequence[Message]:
        """Return the end of a segment."""
        return (self._chunk(b"", commit=True),)

    def keep_alive(self) -> Sequence[Message]:
        """Return nothing: an idle session stays open."""
        return ()

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read a message."""
        found = read_json(message)
        kind = "" if found is None else text_of(found, "message_type")
        if found is None or not kind:
            return (Unreadable(),)
        match kind:
            case "session_started":
                return (Ready(),)
            case "partial_transcript":
                text = text_of(found, "text").strip()
                return (Heard(text),) if text else ()
            case "committed_transcript":
                return (Heard(text_of(found, "text").strip(), final=True),)
            case "committed_transcript_with_timestamps":
                return ()
            case _ if kind in _NOTHING:
                return (Flushed(),)
            case _:
                said = text_of(found, "error") or kind
                return (Failed(said, _CODES.get(kind, 502)),) if "error" in found or kind in _CODES else ()

    def _chunk(self, pcm: bytes, *, commit: bool) -> str:
        return to_json(
            {
                "message_type": "input_audio_chunk",
                "audio_base_64": b64encode(pcm).decode(),
                "commit": commit,
                "sample_rate": self.rate,
            }
        )
