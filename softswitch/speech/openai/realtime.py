"""Realtime transcription over WebSocket (OpenAI documentation, "Realtime transcription")."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

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
    at,
    read_json,
    text_of,
    to_json,
)

MODEL = "gpt-4o-mini-transcribe"
_CODES = {"invalid_api_key": 401, "rate_limit_exceeded": 429, "insufficient_quota": 429}
_IGNORED = frozenset({"input_audio_buffer_commit_empty"})
"""Errors of a commit without audio: there is nothing to recognise, and nothing wrong."""


class RealtimeAsr(AsrDefaults):
    """A transcription session whose turns end where the switch says so."""

    rate = 24000
    realtime = False
    awaits_ready = True

    def __init__(self, access: Access, wanted: AsrQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._texts: dict[str, str] = {}
        self._sent = False

    def endpoint(self) -> Endpoint:
        """Return the address; it names no model, since that would make a conversation of it."""
        url = self._access.socket_url("/realtime", {"intent": "transcription"})
        return Endpoint(url, self._access.bearer())

    def hello(self) -> Sequence[Message]:
        """Return the configuration of the session."""
        transcription: dict[str, object] = {"model": self._wanted.model or MODEL}
        if self._wanted.language:
            transcription["language"] = short(self._wanted.language)
        if self._wanted.hotwords:
            transcription["prompt"] = ", ".join(self._wanted.hotwords)
        transcription |= self._access.options
        audio_input = {
            "format": {"type": "audio/pcm", "rate": self.rate},
            "transcription": transcription,
            "turn_detection": None,
        }
        session = {"type": "transcription", "audio": {"input": audio_input}}
        return (to_json({"type": "session.update", "session": session}),)

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """Return the audio in Base64."""
        self._sent = True
        return (to_json({"type": "input_audio_buffer.append", "audio": b64encode(pcm).decode()}),)

    def finalize(self) -> Sequence[Message]:
        """Return the end of a turn."""
        self._sent = False
        return (to_json({"type": "input_audio_buffer.commit"}),)

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read an event."""
        found = read_json(message)
        if found is None or not isinstance(found.get("type"), str):
            return (Unreadable(),)
        item = text_of(found, "item_id")
        match found["type"]:
            case "session.updated" | "transcription_session.updated":
                return (Ready(),)
            case "conversation.item.input_audio_transcription.delta":
                text = self._texts[item] = self._texts.get(item, "") + text_of(found, "delta")
                return (Heard(text.strip()),) if text.strip() else ()
            case "conversation.item.input_audio_transcription.completed":
                self._texts.pop(item, None)
                return (Heard(text_of(found, "transcript").strip(), final=True),)
            case "conversation.item.input_audio_transcription.failed" | "error":
                return self._failed(found)
            case _:
                return ()

    def _failed(self, found: dict[str, Any]) -> Sequence[AsrEvent]:
        code = text_of(found, "error", "code")
        if code in _IGNORED:
            return (Flushed(),)
        said = text_of(found, "error", "message") or str(at(found, "error"))
        kind = text_of(found, "error", "type")
        status = _CODES.get(code, 400 if kind == "invalid_request_error" else 502)
        return (Failed(said, status),)
