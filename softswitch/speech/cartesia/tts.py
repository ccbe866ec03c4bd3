"""Synthesis over WebSocket (Cartesia documentation, "Text to Speech (WebSocket)"), a context a text."""

import binascii
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from softswitch.speech.cartesia import VERSION
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.base import TtsDefaults
from softswitch.speech.hosted.kind import Source, TtsQuery, nearest, short
from softswitch.speech.hosted.wire import (
    Audio,
    Done,
    Endpoint,
    Failed,
    Message,
    TtsEvent,
    Unreadable,
    Words,
    as_number,
    at,
    milliseconds,
    number_of,
    read_json,
    text_of,
    to_json,
)

MODEL = "sonic-3"
VOICE = "694f9389-aac1-45b6-b726-9d9369183238"
RATES = (8000, 16000, 22050, 24000, 44100, 48000)


class SonicTts(TtsDefaults):
    """One connection for many texts."""

    def __init__(self, access: Access, wanted: TtsQuery, source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._source = source
        self._context = ""
        self.rate = nearest(wanted.sample_rate, RATES, 24000)

    def endpoint(self) -> Endpoint:
        """Return the address."""
        headers = {"Authorization": f"Bearer {self._access.key}", "Cartesia-Version": VERSION}
        return Endpoint(self._access.socket_url("/tts/websocket"), headers)

    def speak(self, text: str) -> Sequence[Message]:
        """Return the request for a text."""
        self._context = self._source.new_id()
        request: dict[str, object] = {
            "model_id": self._wanted.model or MODEL,
            "transcript": text,
            "voice": {"mode": "id", "id": self._wanted.voice or VOICE},
            "context_id": self._context,
            "continue": False,
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": self.rate},
            "add_timestamps": True,
        }
        if self._wanted.language:
            request["language"] = short(self._wanted.language)
        if self._wanted.rate != 1.0 or self._wanted.volume != 1.0:
            request["generation_config"] = {
                "speed": min(max(self._wanted.rate, 0.6), 1.5),
                "volume": min(max(self._wanted.volume, 0.5), 2.0),
            }
        request |= self._access.options
        return (to_json(request),)

    def cancel(self) -> Sequence[Message]:
        """Return the cancellation of what is being spoken."""
        return (to_json({"context_id": self._context, "cancel": True}),)

    def receive(self, message: Message) -> Sequence[TtsEvent]:
        """Read a message; those of an earlier context are left out."""
        found = read_json(message)
        if found is None or not isinstance(found.get("type"), str):
            return (Unreadable(),)
        if text_of(found, "context_id") not in ("", self._context):
            return ()
        match found["type"]:
            case "chunk":
                try:
                    return (Audio(b64decode(text_of(found, "data"), validate=True)),)
                except (binascii.Error, ValueError):
                    return (Unreadable(),)
            case "timestamps":
                return self._words(found)
            case "done":
                return (Done(),)
            case "error":
                said = text_of(found, "message") or text_of(found, "error") or text_of(found, "title")
                return (Failed(said, int(number_of(found, "status_code") or 502)),)
            case _:
                return ()

    def _words(self, found: dict[str, Any]) -> Sequence[TtsEvent]:
        words, starts = at(found, "word_timestamps", "words"), at(found, "word_timestamps", "start")
        if not isinstance(words, list) or not isinstance(starts, list):
            return (Unreadable(),)
        timed = [(word, milliseconds(as_number(start))) for word, start in zip(words, starts, strict=False)]
        known = tuple((word, at_ms) for word, at_ms in timed if isinstance(word, str) and at_ms is not None)
        return (Words(known),) if known else ()
