"""Recognition over WebSocket; an utterance is one turn, with an id of its own (Microsoft documentation)."""

from collections.abc import Sequence

from softswitch.audio.wav import header
from softswitch.speech.azure import messages
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
    number_of,
    read_json,
    text_of,
    to_json,
)

PATH = "/speech/recognition/conversation/cognitiveservices/v1"
_TICKS = 10_000
"""Times are in units of 100 ns; these are one millisecond."""
_QUIET = frozenset({"NoMatch", "InitialSilenceTimeout", "BabbleTimeout", "EndOfDictation"})


class AzureAsr(AsrDefaults):
    """Audio with a WAV header of unknown length begins a turn, an empty piece ends it."""

    realtime = False
    piece_ms = 100

    def __init__(self, access: Access, wanted: AsrQuery, source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._source = source
        self._request = ""
        self._sent_ms = 0
        self._bases: dict[str, int] = {}
        self._final: list[tuple[str, int, int]] = []

    def endpoint(self) -> Endpoint:
        """Return the address with all parameters."""
        query: dict[str, object] = {"language": self._wanted.language or "en-US", "format": "detailed"}
        query |= self._access.options
        headers = {
            "Ocp-Apim-Subscription-Key": self._access.key,
            "X-ConnectionId": self._source.new_id().upper(),
        }
        return Endpoint(self._access.socket_url(PATH, query), headers)

    def hello(self) -> Sequence[Message]:
        """Return what the client is."""
        context = {
            "system": {"name": "softswitch", "version": "1"},
            "os": {"platform": "Linux", "name": "Linux"},
        }
        return (self._text("speech.config", self._source.new_id().upper(), to_json({"context": context})),)

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """Return the audio; its first piece also begins a turn."""
        made: list[Message] = []
        if not self._request:
            self._request = self._source.new_id().upper()
            self._bases[self._request] = self._sent_ms
            phrases = [{"Text": word} for word in self._wanted.hotwords]
            context: dict[str, object] = (
                {"dgi": {"Groups": [{"Type": "Generic", "Items": phrases}]}} if phrases else {}
            )
            made.append(self._text("speech.context", self._request, to_json(context)))
            made.append(messages.audio_message(self._request, self._source.now(), header(self.rate, 1)))
        made.append(messages.audio_message(self._request, self._source.now(), pcm))
        self._sent_ms += len(pcm) * 500 // self.rate
        return made

    def finalize(self) -> Sequence[Message]:
        """Return the end of the turn."""
        if not self._request:
            return ()
        request, self._request = self._request, ""
        return (messages.audio_message(request, self._source.now(), b""),)

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read a message; the phrases of a turn are one final text."""
        found = messages.read(message)
        if found is None:
            return (Unreadable(),)
        headers, body = found
        base_ms = self._bases.get(headers.get("x-requestid", "").upper(), 0)
        match headers["path"].lower():
            case "speech.hypothesis" | "speech.fragment":
                return self._hypothesis(body, base_ms)
            case "speech.phrase":
                return self._phrase(body, base_ms)
            case "turn.end":
                self._bases.pop(headers.get("x-requestid", "").upper(), None)
                if headers.get("x-requestid", "").upper() == self._request:
                    # The vendor ended the turn by itself; the next audio begins another one.
                    self._request = ""
                phrases, self._final = self._final, []
                if not phrases:
                    return (Flushed(),)
                text = " ".join(text for text, _, _ in phrases)
                return (Heard(text, True, phrases[0][1], phrases[-1][2]), Flushed())
            case _:
                return ()

    def _hypothesis(self, body: str, base_ms: int) -> Sequence[AsrEvent]:
        found = read_json(body)
        text = "" if found is None else text_of(found, "Text").strip()
        if found is None or not text:
            return (Unreadable(),)
        start, length = number_of(found, "Offset") or 0.0, number_of(found, "Duration") or 0.0
        whole = " ".join([*(text for text, _, _ in self._final), text])
        begin_ms = self._final[0][1] if self._final else base_ms + round(start / _TICKS)
        return (Heard(whole, start_ms=begin_ms, end_ms=base_ms + round((start + length) / _TICKS)),)

    def _phrase(self, body: str, base_ms: int) -> Sequence[AsrEvent]:
        found = read_json(body)
        if found is None:
            return (Unreadable(),)
        status = text_of(found, "RecognitionStatus")
        if status == "Success":
            best = found.get("NBest")
            first = best[0] if isinstance(best, list) and best and isinstance(best[0], dict) else {}
            text = (text_of(found, "DisplayText") or text_of(first, "Display")).strip()
            start, length = number_of(found, "Offset") or 0.0, number_of(found, "Duration") or 0.0
            if text:
                end_ms = base_ms + round((start + length) / _TICKS)
                self._final.append((text, base_ms + round(start / _TICKS), end_ms))
            return ()
        if status in _QUIET:
            return ()
        codes = {"TooManyRequests": 429, "Forbidden": 403, "BadRequest": 400}
        return (Failed(status or "the phrase has no status", codes.get(status, 502)),)

    def _text(self, path: str, request_id: str, body: str) -> str:
        return messages.text_message(path, request_id, self._source.now(), body)
