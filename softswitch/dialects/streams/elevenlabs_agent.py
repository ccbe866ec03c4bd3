"""The stream dialect of ElevenLabs Agents (conversational AI), WebSocket `/v1/convai/conversation`.

Written from ElevenLabs's reference of the agent WebSocket. The agent's settings decide both audio formats;
`conversation_initiation_metadata` names them. Audio is base64. What was heard of an answer that was cut off
is told to the agent as `contextual_update`, which does not interrupt.
"""

from typing import Any

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.stream_words import CallerText, ToolResult
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.agent_session import (
    MOST_SAID,
    AgentStreams,
    PieceSession,
    complaint_of,
    merged,
    result_text,
)
from softswitch.dialects.streams.json_session import audio as read_audio
from softswitch.dialects.streams.json_session import base64_text, child, encode, text
from softswitch.dialects.streams.said import Cut
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
from softswitch.legs.stream.formats import PCMU
from softswitch.settings import Stream

_RATES = (16000, 8000, 22050, 24000, 44100, 48000)
_FORMATS = {f"pcm_{rate}": AudioFormat("pcm16", rate) for rate in _RATES} | {"ulaw_8000": PCMU}
_NAMES = {form: name for name, form in _FORMATS.items()}
_UNUSED = frozenset(
    "asr_initiation_metadata tentative_user_transcript agent_response_correction mcp_tool_call"
    " mcp_connection_status agent_tool_request agent_tool_response agent_tool_response_full_payload"
    " agent_response_metadata vad_score agent_chat_response_part guardrail_triggered dtmf_request"
    " agent_response_complete context_usage internal_turn_probability internal_tentative_agent_response"
    " internal_vad_score turn_probability".split()
)
"""Events that say nothing that is used here."""


class ElevenLabsAgentSession(PieceSession):
    """One conversation: its formats, the last interruption, and the marks behind what the agent says."""

    def __init__(
        self, request: StreamRequest, row: Stream, form: AudioFormat, session: dict[str, Any]
    ) -> None:
        super().__init__(
            request, row, StreamTraits(sends=form, receives=form, acknowledges_marks=False, awaits_ready=True)
        )
        self._settings = merged(
            {"dynamic_variables": request.parameters} if request.parameters else {}, session
        )
        self._speaks = form
        self._interrupted_at = 0
        """Audio up to this number belongs to what was interrupted."""
        self._is_aligned = False
        """Whether the times of the characters come with the audio of the present answer."""

    def _authorization(self, token: str) -> dict[str, str]:
        return {"xi-api-key": token}

    def opened(self, now_ms: int) -> Messages:
        """Return `conversation_initiation_client_data`."""
        return (encode({"type": "conversation_initiation_client_data", **self._settings}),)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return `user_audio_chunk`, a message without a type."""
        return encode({"user_audio_chunk": base64_text(audio)})

    def tool_result(self, result: ToolResult, now_ms: int) -> Messages:
        """Return `client_tool_result`."""
        if self._tools.pop(result.id, None) is None:
            return ()
        answer = {
            "type": "client_tool_result",
            "tool_call_id": result.id,
            "result": result_text(result.result),
            "is_error": result.failed,
        }
        return (encode(answer),)

    def _next_answer(self) -> None:
        super()._next_answer()
        self._is_aligned = False

    def _correct(self, cut: Cut, heard: str) -> Values:
        said = f'up to "{heard}"' if heard else "nothing"
        context = f"The user interrupted your last answer, and has heard {said} of it."
        return (Reply(encode({"type": "contextual_update", "text": context})),)

    def _values(self, message: dict[str, Any], now_ms: int) -> Values:
        kind = message.get("type")
        match kind:
            case "audio":
                return self._read_audio(child(message, "audio_event"))
            case "ping":
                event = child(message, "ping_event").get("event_id")
                if not isinstance(event, int):
                    raise MalformedError("event_id: must be a number", field="event_id")
                return (Reply(encode({"type": "pong", "event_id": event})),)
            case "conversation_initiation_metadata":
                return self._read_metadata(child(message, "conversation_initiation_metadata_event"))
            case "user_transcript":
                said = text(child(message, "user_transcription_event"), "user_transcript", MOST_SAID).strip()
                return (CallerText(said),) if said else ()
            case "agent_response":
                said = text(child(message, "agent_response_event"), "agent_response", MOST_SAID)
                if not self._is_aligned:
                    self._write(self._name, said)
                return ()
            case "interruption":
                self._interrupted_at = max(
                    self._interrupted_at, _number(child(message, "interruption_event"), "event_id")
                )
                return self._interrupt_answer()
            case "client_tool_call":
                call = child(message, "client_tool_call")
                return self._call_tool(
                    text(call, "tool_call_id"), text(call, "tool_name"), call.get("parameters")
                )
            case "client_error" | "error":
                return (Complaint(complaint_of(message.get("client_error_event", message))),)
        if kind in _UNUSED:
            return ()
        raise MalformedError("type: is no event of an agent", field="type")

    def _read_metadata(self, event: dict[str, Any]) -> Values:
        hears = str(event.get("user_input_audio_format", _NAMES[self.traits.sends]))
        says = str(event.get("agent_output_audio_format"))
        speaks = _FORMATS.get(says)
        if speaks is None or _FORMATS.get(hears) != self.traits.sends:
            reason = (
                f"the agent takes {hears[:32]} and speaks {says[:32]}: "
                "set stream_encoding and stream_sample_rate to what it takes"
            )
            return Complaint(reason), Close(reason)
        self._speaks = speaks
        return (Ready(),)

    def _read_audio(self, event: dict[str, Any]) -> Values:
        if _number(event, "event_id") <= self._interrupted_at:
            return ()
        data, alignment = read_audio(event, "audio_base_64"), event.get("alignment")
        utterance = self._said.utterance(self._name)
        if isinstance(alignment, dict) and utterance is not None:
            chars, starts = alignment.get("chars"), alignment.get("char_start_times_ms")
            if isinstance(chars, list) and isinstance(starts, list) and len(chars) == len(starts):
                if not self._is_aligned:
                    self._is_aligned, utterance.text = True, ""
                utterance.align("".join(map(str, chars)), [float(start) for start in starts])
        return self._speak_piece(data, self._speaks)


class ElevenLabsAgentStreams(AgentStreams):
    """The dialect with its credentials (a ``StreamDialect``)."""

    formats = tuple(_FORMATS.values())
    session = ElevenLabsAgentSession


def _number(event: dict[str, Any], field: str) -> int:
    """Return a number, which may be written as text.

    Raises:
        MalformedError: The field is missing or is no number.
    """
    value = event.get(field)
    if isinstance(value, int | str) and str(value).isdecimal() and len(str(value)) < 19:
        return int(value)
    raise MalformedError(f"{field}: must be a number", field=field)
