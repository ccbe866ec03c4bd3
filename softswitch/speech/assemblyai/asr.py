"""Recognition with turns (AssemblyAI documentation, "Streaming API", version 3)."""

from collections.abc import Sequence

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.base import AsrDefaults
from softswitch.speech.hosted.kind import AsrQuery, Source, short
from softswitch.speech.hosted.wire import (
    AsrEvent,
    Endpoint,
    Failed,
    Heard,
    Message,
    Ready,
    Unreadable,
    number_of,
    objects,
    read_json,
    text_of,
    to_json,
)

MODEL, MODEL_ELSEWHERE = "universal-streaming-english", "universal-streaming-multilingual"
"""For English; for all other languages."""
_CODES = {1008: 401, 4001: 401, 4002: 402, 4029: 429, 3006: 400, 3007: 400, 3009: 429}


class UniversalAsr(AsrDefaults):
    """The vendor finds the turns; the switch may end one earlier."""

    piece_ms = 60
    """The vendor wants 50 to 1000 ms."""
    awaits_ready = True
    answers_finalize = False

    def __init__(self, access: Access, wanted: AsrQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted

    def endpoint(self) -> Endpoint:
        """Return the address with all parameters."""
        english = short(self._wanted.language) in ("", "en")
        query: dict[str, object] = {
            "speech_model": self._wanted.model or (MODEL if english else MODEL_ELSEWHERE),
            "sample_rate": self.rate,
            "encoding": "pcm_s16le",
            "format_turns": True,
            "keyterms_prompt": to_json(list(self._wanted.hotwords)) if self._wanted.hotwords else "",
        }
        query |= self._access.options
        return Endpoint(self._access.socket_url("/v3/ws", query), {"Authorization": self._access.key})

    def finalize(self) -> Sequence[Message]:
        """Return the end of the turn."""
        return (to_json({"type": "ForceEndpoint"}),)

    def keep_alive(self) -> Sequence[Message]:
        """Return nothing: an idle session stays open."""
        return ()

    def bye(self) -> Sequence[Message]:
        """Return the end of the session."""
        return (to_json({"type": "Terminate"}),)

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read a message; the end of a turn comes twice, and the formatted one counts."""
        found = read_json(message)
        if found is None:
            return (Unreadable(),)
        if text_of(found, "error"):
            return (
                Failed(text_of(found, "error"), _CODES.get(int(number_of(found, "error_code") or 0), 502)),
            )
        match found.get("type"):
            case "Begin":
                return (Ready(),)
            case "Turn":
                words = list(objects(found.get("words")))
                starts = [value for word in words if (value := number_of(word, "start")) is not None]
                ends = [value for word in words if (value := number_of(word, "end")) is not None]
                ended = found.get("end_of_turn") is True
                final = ended and (found.get("turn_is_formatted") is True or not self._formats())
                spoken = " ".join(text_of(word, "text") for word in words).strip()
                text = text_of(found, "transcript").strip() if ended else spoken
                heard = Heard(
                    text,
                    final,
                    round(min(starts)) if starts else None,
                    round(max(ends)) if ends else None,
                    number_of(found, "end_of_turn_confidence"),
                )
                return (heard,) if text or final else ()
            case str():
                return ()
            case _:
                return (Unreadable(),)

    def _formats(self) -> bool:
        return str(self._access.options.get("format_turns", True)).lower() == "true"
