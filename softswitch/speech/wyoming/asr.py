"""Recognition: a connection for each utterance, since servers close after the transcript."""

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
    Unreadable,
    text_of,
)
from softswitch.speech.wyoming.events import Event, EventReader, write


class WyomingAsr(AsrDefaults):
    """Audio between `audio-start` and `audio-stop` gives one transcript."""

    realtime = False
    piece_ms = 60
    one_shot = True

    def __init__(self, access: Access, wanted: AsrQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._reader = EventReader()
        self._started = False
        self._text = ""

    def endpoint(self) -> Endpoint:
        """Return the address."""
        return Endpoint(self._access.base_url)

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """Return the audio; its first piece also begins the request."""
        made: list[Message] = []
        form = {"rate": self.rate, "width": 2, "channels": 1}
        if not self._started:
            self._started = True
            wanted: dict[str, object] = {}
            if self._wanted.model:
                wanted["name"] = self._wanted.model
            if self._wanted.language:
                wanted["language"] = short(self._wanted.language)
            made += [write(Event("transcribe", wanted)), write(Event("audio-start", form))]
        return (*made, write(Event("audio-chunk", form, pcm)))

    def finalize(self) -> Sequence[Message]:
        """Return the end of the audio."""
        return (write(Event("audio-stop")),)

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read bytes."""
        try:
            events = self._reader.push(message.encode() if isinstance(message, str) else message)
        except ValueError as error:
            return (Failed(str(error)),)
        return [heard for event in events for heard in self._read(event)]

    def _read(self, event: Event | None) -> Sequence[AsrEvent]:
        if event is None:
            return (Unreadable(),)
        match event.type:
            case "transcript":
                return (Heard(text_of(event.data, "text").strip(), final=True), Flushed())
            case "transcript-chunk":
                self._text += text_of(event.data, "text")
                return (Heard(self._text.strip()),) if self._text.strip() else ()
            case "error":
                return (Failed(text_of(event.data, "text")),)
            case _:
                return ()
