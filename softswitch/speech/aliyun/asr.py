"""Recognition (Alibaba Cloud documentation, "Paraformer real-time speech recognition WebSocket API")."""

from collections.abc import Sequence

from softswitch.speech.aliyun import tasks
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.base import AsrDefaults
from softswitch.speech.hosted.kind import AsrQuery, Source, short
from softswitch.speech.hosted.wire import (
    AsrEvent,
    Endpoint,
    Heard,
    Message,
    Ready,
    Unreadable,
    at,
    number_of,
    read_json,
    text_of,
)

MODEL = "paraformer-realtime-v2"
_FOUND_END_MS = 500


class ParaformerAsr(AsrDefaults):
    """Sentences end where the vendor hears silence, which is sent after each utterance."""

    piece_ms = 100
    awaits_ready = True
    answers_finalize = False
    tail_ms = 1500
    keep_alive_s = 20.0
    """The vendor closes after 60 s without audio."""

    def __init__(self, access: Access, wanted: AsrQuery, source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._task = source.new_id()
        self._model = wanted.model or MODEL
        self.rate = 8000 if "8k" in self._model else 16000

    def endpoint(self) -> Endpoint:
        """Return the address."""
        return tasks.endpoint(self._access)

    def hello(self) -> Sequence[Message]:
        """Return the beginning of the task."""
        parameters: dict[str, object] = {
            "format": "pcm",
            "sample_rate": self.rate,
            "max_sentence_silence": _FOUND_END_MS,
            "heartbeat": True,
        }
        if self._wanted.language:
            parameters["language_hints"] = [short(self._wanted.language)]
        parameters |= self._access.options
        return (tasks.run_task(self._task, "asr", "recognition", self._model, parameters),)

    def bye(self) -> Sequence[Message]:
        """Return the end of the task."""
        return (tasks.instruction("finish-task", self._task, {"input": {}}),)

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read an event."""
        found = read_json(message)
        event = "" if found is None else text_of(found, "header", "event")
        if found is None or not event:
            return (Unreadable(),)
        match event:
            case "task-started":
                return (Ready(),)
            case "task-failed":
                return (tasks.failed(found),)
            case "result-generated":
                sentence = at(found, "payload", "output", "sentence")
                if not isinstance(sentence, dict):
                    return (Unreadable(),)
                if sentence.get("heartbeat") is True:
                    return ()
                text = text_of(sentence, "text").strip()
                final = sentence.get("sentence_end") is True
                start, end = number_of(sentence, "begin_time"), number_of(sentence, "end_time")
                heard = Heard(
                    text,
                    final,
                    None if start is None else round(start),
                    None if end is None else round(end),
                )
                return (heard,) if text or final else ()
            case _:
                return ()
