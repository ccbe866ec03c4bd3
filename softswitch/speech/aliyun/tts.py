"""Synthesis (Alibaba Cloud documentation, "CosyVoice WebSocket API"): tasks over one connection."""

from collections.abc import Sequence

from softswitch.speech.aliyun import tasks
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.base import TtsDefaults
from softswitch.speech.hosted.kind import Source, TtsQuery, nearest
from softswitch.speech.hosted.wire import (
    Audio,
    Done,
    Endpoint,
    Message,
    Ready,
    TtsEvent,
    Unreadable,
    read_json,
    text_of,
)

MODEL = "cosyvoice-v3-flash"
VOICE = "longanyang"
RATES = (8000, 16000, 22050, 24000, 44100, 48000)


class CosyVoiceTts(TtsDefaults):
    """The next task is begun as soon as one is finished, so that its text is spoken at once."""

    awaits_ready = True

    def __init__(self, access: Access, wanted: TtsQuery, source: Source) -> None:
        self._access = access
        self._wanted = wanted
        self._source = source
        self._task = source.new_id()
        self.rate = nearest(wanted.sample_rate, RATES, 24000)

    def endpoint(self) -> Endpoint:
        """Return the address."""
        return tasks.endpoint(self._access)

    def hello(self) -> Sequence[Message]:
        """Return the beginning of a task."""
        parameters: dict[str, object] = {
            "text_type": "PlainText",
            "voice": self._wanted.voice or VOICE,
            "format": "pcm",
            "sample_rate": self.rate,
            "volume": min(max(round(self._wanted.volume * 50), 0), 100),
            "rate": min(max(self._wanted.rate, 0.5), 2.0),
            "pitch": min(max(self._wanted.pitch, 0.5), 2.0),
        }
        parameters |= self._access.options
        model = self._wanted.model or MODEL
        return (tasks.run_task(self._task, "tts", "SpeechSynthesizer", model, parameters),)

    def renew(self) -> Sequence[Message]:
        """Return the beginning of the next task."""
        self._task = self._source.new_id()
        return self.hello()

    def speak(self, text: str) -> Sequence[Message]:
        """Return the text and the end of the task."""
        return (
            tasks.instruction("continue-task", self._task, {"input": {"text": text}}),
            tasks.instruction("finish-task", self._task, {"input": {}}),
        )

    def receive(self, message: Message) -> Sequence[TtsEvent]:
        """Read an event; binary messages are audio."""
        if isinstance(message, bytes):
            return (Audio(message),)
        found = read_json(message)
        event = "" if found is None else text_of(found, "header", "event")
        if found is None or not event:
            return (Unreadable(),)
        if text_of(found, "header", "task_id") not in ("", self._task):
            return ()
        match event:
            case "task-started":
                return (Ready(),)
            case "task-finished":
                return (Done(),)
            case "task-failed":
                return (tasks.failed(found),)
            case _:
                return ()
