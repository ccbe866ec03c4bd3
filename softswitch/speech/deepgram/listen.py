"""Streaming recognition, version 1 (Deepgram documentation, "Live audio", "Finalize", "KeepAlive")."""

from collections.abc import Sequence

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.base import AsrDefaults
from softswitch.speech.hosted.kind import AsrQuery, Source
from softswitch.speech.hosted.wire import (
    AsrEvent,
    Endpoint,
    Failed,
    Flushed,
    Heard,
    Message,
    Unreadable,
    at,
    milliseconds,
    number_of,
    objects,
    read_json,
    text_of,
    to_json,
)

MODEL = "nova-3"


class ListenAsr(AsrDefaults):
    """Results come in segments; an utterance is all of them up to the end of speech."""

    realtime = False
    keep_alive_s = 4.0
    """The server closes after 10 s without audio or KeepAlive."""

    def __init__(self, access: Access, wanted: AsrQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._segments: list[str] = []
        self._start_ms: int | None = None

    def endpoint(self) -> Endpoint:
        """Return the address with all parameters."""
        model = self._wanted.model or MODEL
        query: dict[str, object] = {
            "model": model,
            "encoding": "linear16",
            "sample_rate": self.rate,
            "channels": 1,
            "interim_results": True,
            "smart_format": True,
            "endpointing": 300,
            "language": self._wanted.language,
            # Nova-3 takes whole terms, older models single words.
            "keyterm" if model.startswith("nova-3") else "keywords": self._wanted.hotwords,
        }
        query |= self._access.options
        return Endpoint(
            self._access.socket_url("/v1/listen", query), {"Authorization": f"Token {self._access.key}"}
        )

    def finalize(self) -> Sequence[Message]:
        """Return the request to finish what was sent."""
        return (to_json({"type": "Finalize"}),)

    def keep_alive(self) -> Sequence[Message]:
        """Return a sign of life."""
        return (to_json({"type": "KeepAlive"}),)

    def bye(self) -> Sequence[Message]:
        """Return the end of the stream."""
        return (to_json({"type": "CloseStream"}),)

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read a message."""
        found = read_json(message)
        if found is None or not isinstance(found.get("type"), str):
            return (Unreadable(),)
        if found["type"] == "Error":
            return (Failed(text_of(found, "description") or text_of(found, "message")),)
        if found["type"] != "Results":
            return ()
        best = next(objects(at(found, "channel", "alternatives")), None)
        if best is None:
            return (Unreadable(),)
        start, length = number_of(found, "start"), number_of(found, "duration")
        end_ms = milliseconds(None if start is None else start + (length or 0.0))
        text = text_of(best, "transcript").strip()
        if text and self._start_ms is None:
            self._start_ms = milliseconds(start)
        whole = " ".join([*self._segments, *([text] if text else [])])
        confidence = number_of(best, "confidence")
        flushed = found.get("from_finalize") is True
        if not found.get("is_final"):
            return (
                (Heard(whole, start_ms=self._start_ms, end_ms=end_ms, confidence=confidence),)
                if whole
                else ()
            )
        if text:
            self._segments.append(text)
        if not (found.get("speech_final") or flushed):
            return (
                (Heard(whole, start_ms=self._start_ms, end_ms=end_ms, confidence=confidence),)
                if whole
                else ()
            )
        begin_ms, self._start_ms = self._start_ms, None
        self._segments.clear()
        events: list[AsrEvent] = []
        if whole:
            events.append(Heard(whole, True, begin_ms, end_ms, confidence))
        if flushed:
            events.append(Flushed())
        return events
