"""Streaming synthesis (Deepgram documentation, "Text to speech WebSocket")."""

from collections.abc import Sequence

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.base import TtsDefaults
from softswitch.speech.hosted.kind import Source, TtsQuery, nearest
from softswitch.speech.hosted.wire import (
    Audio,
    Done,
    Endpoint,
    Failed,
    Message,
    TtsEvent,
    Unreadable,
    read_json,
    text_of,
    to_json,
)

VOICE = "aura-2-thalia-en"
RATES = (8000, 16000, 24000, 32000, 48000)


class SpeakTts(TtsDefaults):
    """A text is spoken up to its Flush; binary messages are audio."""

    def __init__(self, access: Access, wanted: TtsQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self.rate = nearest(wanted.sample_rate, RATES, 24000)

    def endpoint(self) -> Endpoint:
        """Return the address with all parameters; the voice is the model here."""
        query: dict[str, object] = {
            "model": self._wanted.voice or self._wanted.model or VOICE,
            "encoding": "linear16",
            "sample_rate": self.rate,
        }
        query |= self._access.options
        return Endpoint(
            self._access.socket_url("/v1/speak", query), {"Authorization": f"Token {self._access.key}"}
        )

    def speak(self, text: str) -> Sequence[Message]:
        """Return the text and its end."""
        return (to_json({"type": "Speak", "text": text}), to_json({"type": "Flush"}))

    def cancel(self) -> Sequence[Message]:
        """Return what empties the vendor's buffer, and the end of the session."""
        return (to_json({"type": "Clear"}), to_json({"type": "Close"}))

    def receive(self, message: Message) -> Sequence[TtsEvent]:
        """Read a message."""
        if isinstance(message, bytes):
            return (Audio(message),)
        found = read_json(message)
        if found is None or not isinstance(found.get("type"), str):
            return (Unreadable(),)
        match found["type"]:
            case "Flushed":
                return (Done(),)
            case "Error":
                return (Failed(text_of(found, "description") or text_of(found, "code")),)
            case _:
                return ()
