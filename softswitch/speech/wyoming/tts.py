"""Synthesis: one connection for many texts."""

from collections.abc import Sequence

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.base import TtsDefaults
from softswitch.speech.hosted.kind import Source, TtsQuery
from softswitch.speech.hosted.wire import (
    Audio,
    Done,
    Endpoint,
    Failed,
    Message,
    TtsEvent,
    Unreadable,
    number_of,
    text_of,
)
from softswitch.speech.wyoming.events import Event, EventReader, write

RATE = 22050
"""Hz, where the server does not say (piper's medium voices)."""


class WyomingTts(TtsDefaults):
    """A text gives audio between `audio-start` and `audio-stop`, at the rate of the voice."""

    def __init__(self, access: Access, wanted: TtsQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._reader = EventReader()
        self.rate = RATE

    def endpoint(self) -> Endpoint:
        """Return the address."""
        return Endpoint(self._access.base_url)

    def speak(self, text: str) -> Sequence[Message]:
        """Return the request for a text."""
        data: dict[str, object] = {"text": text}
        if self._wanted.voice:
            data["voice"] = {"name": self._wanted.voice}
        elif self._wanted.language:
            data["voice"] = {"language": self._wanted.language.replace("-", "_")}
        return (write(Event("synthesize", data)),)

    def receive(self, message: Message) -> Sequence[TtsEvent]:
        """Read bytes."""
        try:
            events = self._reader.push(message.encode() if isinstance(message, str) else message)
        except ValueError as error:
            return (Failed(str(error)),)
        return [made for event in events for made in self._read(event)]

    def _read(self, event: Event | None) -> Sequence[TtsEvent]:
        if event is None:
            return (Unreadable(),)
        match event.type:
            case "audio-start" | "audio-chunk":
                if (number_of(event.data, "width") or 2) != 2 or (
                    number_of(event.data, "channels") or 1
                ) != 1:
                    return (Failed("the server sends other audio than PCM16 mono", 400),)
                rate = int(number_of(event.data, "rate") or self.rate)
                if not 8000 <= rate <= 192000:
                    return (Unreadable(),)
                self.rate = rate
                return (Audio(event.payload, rate),) if event.payload else ()
            case "audio-stop":
                return (Done(),)
            case "error":
                return (Failed(text_of(event.data, "text")),)
            case _:
                return ()
