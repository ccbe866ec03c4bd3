"""Recognition with turns, version 2 (Deepgram documentation, "Flux", "Force End Turn")."""

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
    Turned,
    Unreadable,
    milliseconds,
    number_of,
    objects,
    read_json,
    text_of,
    to_json,
)

MODEL = "flux-general-en"


class FluxAsr(AsrDefaults):
    """The vendor finds the turns; the switch may end one earlier."""

    realtime = False
    piece_ms = 80
    """What the vendor recommends."""
    answers_finalize = False
    """ForceEndTurn without a turn is ignored."""
    keep_alive_s = 5.0

    def __init__(self, access: Access, wanted: AsrQuery, _source: Source) -> None:
        self._access = access
        self._wanted = wanted

    def endpoint(self) -> Endpoint:
        """Return the address with all parameters."""
        model = self._wanted.model or MODEL
        query: dict[str, object] = {
            "model": model,
            "encoding": "linear16",
            "sample_rate": self.rate,
            "keyterm": self._wanted.hotwords,
            "language_hint": short(self._wanted.language) if model == "flux-general-multi" else "",
        }
        query |= self._access.options
        return Endpoint(
            self._access.socket_url("/v2/listen", query), {"Authorization": f"Token {self._access.key}"}
        )

    def finalize(self) -> Sequence[Message]:
        """Return the end of the turn."""
        return (to_json({"type": "ForceEndTurn"}),)

    def bye(self) -> Sequence[Message]:
        """Return the end of the stream."""
        return (to_json({"type": "CloseStream"}),)

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read a message; an eager end of a turn is a delta, since the turn may be resumed."""
        found = read_json(message)
        if found is None or not isinstance(found.get("type"), str):
            return (Unreadable(),)
        match found["type"]:
            case "Connected":
                return (Ready(),)
            case "Error":
                return (Failed(text_of(found, "description") or text_of(found, "code")),)
            case "TurnInfo":
                text = text_of(found, "transcript").strip()
                words = list(objects(found.get("words")))
                known = [value for word in words if (value := number_of(word, "confidence")) is not None]
                starts = [value for word in words if (value := number_of(word, "start")) is not None]
                heard = Heard(
                    text,
                    final=text_of(found, "event") == "EndOfTurn",
                    start_ms=milliseconds(min(starts) if starts else number_of(found, "audio_window_start")),
                    end_ms=milliseconds(number_of(found, "audio_window_end")),
                    confidence=sum(known) / len(known) if known else None,
                )
                if text_of(found, "event") not in ("EagerEndOfTurn", "EndOfTurn"):
                    return (heard,) if text else ()
                certain = 1.0 if heard.final else 0.5
                said = number_of(found, "end_of_turn_confidence")
                probability = min(max(certain if said is None else said, 0.0), 1.0)
                return (Turned(probability, heard.end_ms), heard)
            case _:
                return ()
