"""Recognition with manual finalisation (Cartesia documentation, "Realtime Speech-to-Text (Manual)")."""

from collections.abc import Sequence

from softswitch.speech.cartesia import VERSION
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
    number_of,
    read_json,
    text_of,
)

MODEL, MODEL_ELSEWHERE = "ink-2", "ink-whisper"
"""For English; for all other languages."""


class InkAsr(AsrDefaults):
    """Final pieces of text are joined until the vendor has dealt with all audio."""

    realtime = False
    piece_ms = 100
    keep_alive_s = 30.0

    def __init__(self, access: Access, wanted: AsrQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._text = ""

    def endpoint(self) -> Endpoint:
        """Return the address with all parameters."""
        language = short(self._wanted.language)
        model = self._wanted.model or (MODEL if language in ("", "en") else MODEL_ELSEWHERE)
        query: dict[str, object] = {
            "model": model,
            "language": language if model == MODEL_ELSEWHERE else "",
            "encoding": "pcm_s16le",
            "sample_rate": self.rate,
        }
        query |= self._access.options
        headers = {"Authorization": f"Bearer {self._access.key}", "Cartesia-Version": VERSION}
        return Endpoint(self._access.socket_url("/stt/websocket", query), headers)

    def finalize(self) -> Sequence[Message]:
        """Return the request to finish what was sent."""
        return ("finalize",)

    def bye(self) -> Sequence[Message]:
        """Return the end of the session."""
        return ("close",)

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read a message."""
        found = read_json(message)
        if found is None or not isinstance(found.get("type"), str):
            return (Unreadable(),)
        match found["type"]:
            case "transcript":
                text = text_of(found, "text")
                so_far = (self._text + text).strip()
                if found.get("is_final") is True:
                    self._text += text
                return (Heard(so_far),) if so_far else ()
            case "flush_done":
                whole, self._text = self._text.strip(), ""
                return (Heard(whole, final=True), Flushed()) if whole else (Flushed(),)
            case "error":
                said = text_of(found, "message") or text_of(found, "title")
                return (
                    Failed(said, int(number_of(found, "status_code") or number_of(found, "code") or 502)),
                )
            case _:
                return ()
