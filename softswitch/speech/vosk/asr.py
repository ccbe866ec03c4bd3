"""Recognition by a vosk server; it ends the connection with the utterance (vosk documentation, "Server")."""

from collections.abc import Sequence

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
    milliseconds,
    number_of,
    objects,
    read_json,
    to_json,
)


class VoskAsr(AsrDefaults):
    """Each piece of audio is answered; `eof` gives the final text."""

    realtime = False
    piece_ms = 100
    one_shot = True

    def __init__(self, access: Access, wanted: AsrQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._done = self._answered = False

    def endpoint(self) -> Endpoint:
        """Return the address."""
        return Endpoint(self._access.socket_url(""), self._access.bearer())

    def hello(self) -> Sequence[Message]:
        """Return the configuration."""
        config: dict[str, object] = {"sample_rate": self.rate, "words": True}
        if self._wanted.hotwords:
            config["phrase_list"] = list(self._wanted.hotwords)
        config |= self._access.options
        return (to_json({"config": config}),)

    def finalize(self) -> Sequence[Message]:
        """Return the end of the audio."""
        self._done = True
        return (to_json({"eof": 1}),)

    def closed(self, *, clean: bool) -> Sequence[AsrEvent]:
        """Return that all audio is dealt with: the server closes after the last result."""
        del clean  # Some servers drop the connection.
        return (Flushed(),) if self._answered else ()

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read a result."""
        found = read_json(message)
        if found is None:
            return (Unreadable(),)
        if isinstance(found.get("partial"), str):
            text = found["partial"].strip()
            return (Heard(text),) if text else ()
        if not isinstance(found.get("text"), str):
            return (Unreadable(),)
        self._answered = self._done
        words = list(objects(found.get("result")))
        known = [value for word in words if (value := number_of(word, "conf")) is not None]
        return (
            Heard(
                found["text"].strip(),
                final=True,
                start_ms=milliseconds(number_of(words[0], "start")) if words else None,
                end_ms=milliseconds(number_of(words[-1], "end")) if words else None,
                confidence=sum(known) / len(known) if known else None,
            ),
        )
