"""The stream dialect of Deepgram's Voice Agent API, version 1 (`/v1/agent/converse`).

Written from Deepgram's reference of the Voice Agent. Nothing is sent before `Welcome`, and no audio before
`SettingsApplied`. Audio is binary. The protocol has no message for how much of an answer was heard.
"""

from typing import Any

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.stream_words import CallerText, ToolCancelled, ToolResult
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.agent_session import (
    MOST_SAID,
    AgentSession,
    AgentStreams,
    complaint_of,
    result_text,
)
from softswitch.dialects.streams.json_session import encode, text
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import (
    AudioFormat,
    Close,
    Complaint,
    Messages,
    Ready,
    Reply,
    StreamTraits,
    Values,
)
from softswitch.legs.stream.formats import PCMA, PCMU
from softswitch.settings import Stream

_FORMATS = (*(AudioFormat("pcm16", rate) for rate in (24000, 16000, 8000, 48000)), PCMU, PCMA)
_NAMES = {"pcm16": "linear16", "pcmu": "mulaw", "pcma": "alaw"}
_KEEPALIVE_S = 5.0
_UNUSED = frozenset(
    "AgentThinking AgentStartedSpeaking FunctionCallResponse PromptUpdated SpeakUpdated ThinkUpdated"
    " ListenUpdated ThinkLiveUpdated History InjectionRefused LatencyReport FrustrationDetected"
    " EndOfThought".split()
)
"""Messages that say nothing that is used here."""


class DeepgramAgentSession(AgentSession):
    """One conversation: whether its settings were taken, and the number of the present answer."""

    def __init__(
        self, request: StreamRequest, row: Stream, form: AudioFormat, session: dict[str, Any]
    ) -> None:
        super().__init__(
            request,
            row,
            StreamTraits(
                sends=form,
                receives=form,
                binary_media=True,
                takes_binary=True,
                acknowledges_marks=False,
                awaits_ready=True,
                keepalive_s=_KEEPALIVE_S,
            ),
        )
        wire = {"encoding": _NAMES[form.encoding], "sample_rate": form.sample_rate}
        audio = {"input": wire, "output": {**wire, "container": "none"}}
        self._settings = {"agent": {}, **session, "type": "Settings", "audio": audio}
        self._is_ready = False
        self._answer = 1

    def _authorization(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Token {token}"}

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return the audio as it is."""
        return audio

    def keepalive(self, now_ms: int) -> Messages:
        """Return `KeepAlive`, for a party whose audio is paused."""
        return (encode({"type": "KeepAlive"}),) if self._is_ready else ()

    def tool_result(self, result: ToolResult, now_ms: int) -> Messages:
        """Return `FunctionCallResponse`."""
        name = self._tools.pop(result.id, None)
        if name is None:
            return ()
        content = result_text({"error": result.result} if result.failed else result.result)
        answer = {"type": "FunctionCallResponse", "id": result.id, "name": name, "content": content}
        return (encode(answer),)

    def read_binary(self, data: bytes, now_ms: int) -> Values:
        """Return the audio of the agent."""
        return self._speak(self._name, data)

    @property
    def _name(self) -> str:
        return f"answer {self._answer}"

    def _values(self, message: dict[str, Any], now_ms: int) -> Values:
        kind = message.get("type")
        match kind:
            case "Welcome":
                return (Reply(encode(self._settings)),)
            case "SettingsApplied":
                self._is_ready = True
                return (Ready(),)
            case "ConversationText":
                return self._read_text(message)
            case "UserStartedSpeaking":
                self._answer += 1
                return self._interrupt()
            case "AgentAudioDone":
                values = self._end(self._name)
                self._answer += 1
                return values
            case "FunctionCallRequest":
                return self._read_calls(message)
            case "FunctionCallCancelled":
                ids = [text(one, "id") for one in _functions(message)]
                return [ToolCancelled(one) for one in ids if self._tools.pop(one, None) is not None]
            case "Warning":
                return (Complaint(complaint_of(message)),)
            case "Error":
                said = complaint_of(message)
                refused = () if self._is_ready else (Close(f"the service refused the settings: {said}"),)
                return Complaint(said), *refused
        if kind in _UNUSED:
            return ()
        raise MalformedError("type: is no message of the Voice Agent", field="type")

    def _read_text(self, message: dict[str, Any]) -> Values:
        said = text(message, "content", MOST_SAID).strip()
        if message.get("role") == "user":
            return (CallerText(said),) if said else ()
        if said:
            self._write(self._name, said + " ")
        return ()

    def _read_calls(self, message: dict[str, Any]) -> Values:
        values: list[Any] = []
        for one in _functions(message):
            # Functions with an endpoint are called by the service itself.
            if one.get("client_side", True):
                values += self._call_tool(text(one, "id"), text(one, "name"), one.get("arguments"))
        return values


class DeepgramAgentStreams(AgentStreams):
    """The dialect with its credentials (a ``StreamDialect``)."""

    formats = _FORMATS
    session = DeepgramAgentSession


def _functions(message: dict[str, Any]) -> list[dict[str, Any]]:
    functions = message.get("functions")
    if not isinstance(functions, list) or not all(isinstance(one, dict) for one in functions):
        raise MalformedError("functions: must be a list of objects", field="functions")
    return functions
