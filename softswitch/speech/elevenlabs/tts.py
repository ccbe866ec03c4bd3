"""Synthesis over WebSocket (ElevenLabs documentation, "Multi-context WebSocket"); a context for each text."""

import binascii
from base64 import b64decode
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

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
    read_json,
    text_of,
    to_json,
)

MODEL = "eleven_flash_v2_5"
VOICE = "21m00Tcm4TlvDq8ikWAM"
RATES = (8000, 16000, 22050, 24000, 44100)


class MultiContextTts(TtsDefaults):
    """One connection for many texts."""

    def __init__(self, access: Access, wanted: TtsQuery, source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._source = source
        self._context = ""
        self._spoken_ms = 0.0
        self.rate = nearest(wanted.sample_rate, RATES, 24000)

    def endpoint(self) -> Endpoint:
        """Return the address with all parameters."""
        model = self._wanted.model or MODEL
        query: dict[str, object] = {
            "model_id": model,
            "output_format": f"pcm_{self.rate}",
            # Only these models take a language; others refuse one.
            "language_code": short(self._wanted.language) if "v2_5" in model else "",
            "sync_alignment": True,
            "inactivity_timeout": 60,
        }
        query |= self._access.options
        voice = quote(self._wanted.voice or VOICE, safe="")
        url = self._access.socket_url(f"/v1/text-to-speech/{voice}/multi-stream-input", query)
        return Endpoint(url, {"xi-api-key": self._access.key})

    def speak(self, text: str) -> Sequence[Message]:
        """Return a context: its beginning, the text, its end."""
        self._context = self._source.new_id()
        self._spoken_ms = 0.0
        begin: dict[str, object] = {"text": " ", "context_id": self._context}
        if self._wanted.rate != 1.0:
            begin["voice_settings"] = {"speed": min(max(self._wanted.rate, 0.7), 1.2)}
        return (
            to_json(begin),
            to_json({"text": f"{text} ", "context_id": self._context, "flush": True}),
            to_json({"context_id": self._context, "close_context": True}),
        )

    def cancel(self) -> Sequence[Message]:
        """Return the end of the session."""
        return (to_json({"close_socket": True}),)

    def receive(self, message: Message) -> Sequence[TtsEvent]:
        """Read a message; those of an earlier context are left out."""
        found = read_json(message)
        if found is None:
            return (Unreadable(),)
        if text_of(found, "error") or text_of(found, "message"):
            code = found.get("code")
            status = {1008: 401, 1013: 429}.get(code, 502) if isinstance(code, int) else 502
            return (Failed(text_of(found, "message") or text_of(found, "error"), status),)
        context = text_of(found, "contextId") or text_of(found, "context_id")
        if context and context != self._context:
            return ()
        if found.get("isFinal") is True or found.get("is_final") is True:
            return (Done(),)
        audio = text_of(found, "audio")
        if not audio:
            return (Unreadable(),) if "audio" not in found else ()
        try:
            pcm = b64decode(audio, validate=True)
        except (binascii.Error, ValueError):
            return (Unreadable(),)
        words = self._words(found)
        self._spoken_ms += len(pcm) * 500 / self.rate
        return (Audio(pcm), Words(words)) if words else (Audio(pcm),)

    def _words(self, found: dict[str, Any]) -> tuple[tuple[str, int], ...]:
        """Return the words of a piece from the times of its characters, which count from its beginning."""
        signs, starts = at(found, "alignment", "chars"), at(found, "alignment", "charStartTimesMs")
        if not isinstance(signs, list) or not isinstance(starts, list):
            return ()
        words: list[tuple[str, int]] = []
        within = False
        for sign, start in zip(signs, starts, strict=False):
            begin = as_number(start)
            if not isinstance(sign, str) or begin is None:
                return ()
            if sign.isspace():
                within = False
            elif within:
                words[-1] = words[-1][0] + sign, words[-1][1]
            else:
                words.append((sign, round(self._spoken_ms + begin)))
                within = True
        return tuple(words)
