"""Recognition by a sherpa-onnx server (sherpa documentation, "Streaming WebSocket server and client")."""

from collections.abc import Sequence

import numpy as np

from softswitch.audio import pcm as pcm16
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.base import AsrDefaults
from softswitch.speech.hosted.kind import AsrQuery, Source
from softswitch.speech.hosted.wire import (
    AsrEvent,
    Endpoint,
    Flushed,
    Heard,
    Message,
    Unreadable,
    number_of,
    read_json,
)


class SherpaAsr(AsrDefaults):
    """Float samples go in; a result has the text of a segment, which is final when the next one begins."""

    realtime = False
    piece_ms = 100
    one_shot = True

    def __init__(self, access: Access, _wanted: AsrQuery, _source: Source) -> None:
        self._access = access
        self._segment = 0
        self._text = ""
        self._done = False

    def endpoint(self) -> Endpoint:
        """Return the address."""
        return Endpoint(self._access.socket_url("", self._access.options), self._access.bearer())

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """Return the samples as 32-bit floats between -1 and 1."""
        return ((pcm16.from_bytes(pcm) / np.float32(32768.0)).astype("<f4").tobytes(),)

    def finalize(self) -> Sequence[Message]:
        """Return the end of the audio."""
        self._done = True
        return ("Done",)

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read a result."""
        if message == "Done!":
            return self.closed(clean=True)
        found = read_json(message)
        if found is None or not isinstance(found.get("text"), str):
            return (Unreadable(),)
        text = found["text"].strip()
        segment = int(number_of(found, "segment") or 0)
        events: list[AsrEvent] = []
        if segment != self._segment and self._text:
            events.append(Heard(self._text, final=True))
        self._segment, self._text = segment, text
        if found.get("is_final") is True and text:
            self._text = ""
            events.append(Heard(text, final=True))
        elif text:
            events.append(Heard(text))
        return events

    def closed(self, *, clean: bool) -> Sequence[AsrEvent]:
        """Return the last text as final: the server closes once all audio is dealt with."""
        if not self._done or not clean:
            return ()
        self._done = False
        text, self._text = self._text, ""
        return (Heard(text, final=True), Flushed())
