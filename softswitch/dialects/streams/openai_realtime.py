"""The stream dialect of OpenAI's Realtime API (generally available version), and of servers that speak it.

Written from OpenAI's API reference of the Realtime client and server events. The session is configured by
`session.update`; audio goes both ways in base64, PCM16 at 24 kHz or G.711. With `turn_detection` the service
detects speech and interrupts itself; with `null` the switch does: it commits the speech and asks for the
response. When a response is interrupted, each of its items is truncated at the millisecond that was heard.
"""

from typing import Any, Literal

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.stream_words import CallerText, ToolResult
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.agent_session import (
    MOST_ARGUMENTS,
    MOST_SAID,
    AgentSession,
    AgentStreams,
    LeadIn,
    complaint_of,
    duration_ms,
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
from softswitch.legs.stream.formats import PCMA, PCMU
from softswitch.settings import Stream

_TYPES = {"pcm16": "audio/pcm", "pcmu": "audio/pcmu", "pcma": "audio/pcma"}
_TRANSCRIBER = {"model": "gpt-4o-transcribe"}
_UPDATE = "softswitch-session"
"""`event_id` of `session.update`: an error that names it means that there is no session."""
_FAMILIES = ("session.", "conversation.", "response.", "input_audio_buffer.", "output_audio_buffer.",
             "rate_limits.", "mcp_list_tools.")  # fmt: skip
"""Begins of the types of server events; those that are not read here are left alone."""
_MOST_SPEECHES = 64


class OpenAiRealtimeSession(AgentSession):
    """One Realtime session: responses, their items, and tool calls that wait for a result."""

    def __init__(
        self, request: StreamRequest, row: Stream, form: AudioFormat, session: dict[str, Any]
    ) -> None:
        self._greeting = session.pop("greeting", None)
        self._settings = _settings(session, form)
        turns = self._settings["audio"]["input"]["turn_detection"]
        self._lead_in = LeadIn() if turns is None else None
        self._is_interruptible = turns is None or turns.get("interrupt_response", True) is not False
        super().__init__(
            request,
            row,
            StreamTraits(
                sends=form,
                receives=form,
                acknowledges_marks=False,
                awaits_ready=True,
                follows_speech=turns is None,
            ),
        )
        self._is_ready = False
        self._response = ""
        """Id of the response that is under way; empty: none."""
        self._wants: Literal["", "turn", "tools"] = ""
        """What a response is to be asked for, once the present one is over."""
        self._cut_responses: list[str] = []
        self._sent_ms = 0.0
        self._began_ms = 0
        """When the first audio was sent, epoch milliseconds."""
        self._speeches: dict[str, list[int]] = {}
        """Begin and end of the party's speech in the audio that was sent, by item."""

    def _authorization(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    # --- to the service -----------------------------------------------------------------------

    def opened(self, now_ms: int) -> Messages:
        """Return `session.update`."""
        return (encode({"type": "session.update", "event_id": _UPDATE, "session": self._settings}),)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return `input_audio_buffer.append`; nothing in silence where the switch detects speech."""
        if self._lead_in is not None and not self._lead_in.passes(audio):
            return b""
        return self._append(audio, now_ms)

    def speech(self, speaking: bool, now_ms: int) -> Values:
        """Return the interruption of the response, or the end of the turn and the request to answer it."""
        if self._lead_in is None:
            return ()
        if speaking:
            return *self._interrupted(), Reply(self._append(self._lead_in.begin(), now_ms))
        self._lead_in.end()
        return Reply(encode({"type": "input_audio_buffer.commit"})), *self._ask("turn")

    def tool_result(self, result: ToolResult, now_ms: int) -> Messages:
        """Return the output of a function, and behind the last one the request to go on."""
        if self._tools.pop(result.id, None) is None:
            return ()
        output = result_text({"error": result.result} if result.failed else result.result)
        item = {"type": "function_call_output", "call_id": result.id, "output": output}
        created = encode({"type": "conversation.item.create", "item": item})
        if self._tools:
            return (created,)
        return created, *(reply.message for reply in self._ask("tools"))

    def _append(self, audio: bytes, now_ms: int) -> bytes:
        duration = duration_ms(audio, self.traits.sends)
        if not self._sent_ms:
            self._began_ms = now_ms - round(duration)
        self._sent_ms += duration
        return encode({"type": "input_audio_buffer.append", "audio": base64_text(audio)})

    def _ask(self, what: Literal["turn", "tools"]) -> tuple[Reply, ...]:
        """Return the request for a response, now or once the present one is over: there may be one only."""
        if self._response:
            self._wants = what
            return ()
        self._wants = ""
        return (Reply(encode({"type": "response.create"})),)

    def _interrupted(self) -> Values:
        """Return what ends a response that the party talks over, where the service does not by itself."""
        cancel: Values = ()
        if self._response:
            self._cut_responses = [*self._cut_responses[-63:], self._response]
            if self._lead_in is not None:
                cancel = (Reply(encode({"type": "response.cancel", "response_id": self._response})),)
        return *self._interrupt(), *cancel

    def _correct(self, cut: Cut, heard: str) -> Values:
        truncate = {
            "type": "conversation.item.truncate",
            "item_id": cut.utterance.name,
            "content_index": 0,
            "audio_end_ms": cut.heard_ms,
        }
        return (Reply(encode(truncate)),)

    # --- from the service -----------------------------------------------------------------------

    def _values(self, message: dict[str, Any], now_ms: int) -> Values:
        kind = message.get("type")
        match kind:
            case "response.output_audio.delta" | "response.audio.delta":
                if message.get("response_id") in self._cut_responses:
                    return ()
                return self._speak(text(message, "item_id"), read_audio(message, "delta"))
            case "response.output_audio_transcript.delta" | "response.audio_transcript.delta":
                if message.get("response_id") not in self._cut_responses:
                    self._write(text(message, "item_id"), text(message, "delta", MOST_SAID))
                return ()
            case "response.output_audio.done" | "response.audio.done":
                return self._end(text(message, "item_id"))
            case "response.created":
                self._response = text(child(message, "response"), "id")
                return ()
            case "response.done":
                return self._read_done(child(message, "response"))
            case "response.output_item.done":
                return self._read_item(child(message, "item"))
            case "session.updated":
                return self._read_updated()
            case "error":
                return self._read_error(child(message, "error"))
        if isinstance(kind, str) and kind.startswith(_FAMILIES):
            return self._read_input(kind, message)
        raise MalformedError("type: is no event of the Realtime API", field="type")

    def _read_input(self, kind: str, message: dict[str, Any]) -> Values:
        """Read an event about the party's speech; the other known events say nothing that is used here."""
        match kind:
            case "input_audio_buffer.speech_started":
                self._note_speech(message, "audio_start_ms", 0)
                return self._interrupted() if self._is_interruptible else ()
            case "input_audio_buffer.speech_stopped":
                self._note_speech(message, "audio_end_ms", 1)
                return ()
            case "conversation.item.input_audio_transcription.completed":
                return self._read_transcript(message)
            case "conversation.item.input_audio_transcription.failed":
                return (Complaint(complaint_of(message.get("error"))),)
        return ()

    def _read_updated(self) -> Values:
        if self._is_ready:
            return ()
        self._is_ready = True
        if not self._greeting:
            return (Ready(),)
        create = {"type": "response.create", "response": {"instructions": str(self._greeting)}}
        return Ready(), Reply(encode(create))

    def _read_error(self, error: dict[str, Any]) -> Values:
        said = complaint_of(error)
        if not self._is_ready and error.get("event_id") in (_UPDATE, None):
            return Complaint(said), Close(f"the service refused the session: {said}")
        if error.get("code") == "response_cancel_not_active":
            return ()  # The response was over before the cancellation arrived.
        return (Complaint(said),)

    def _read_done(self, response: dict[str, Any]) -> Values:
        if response.get("id") == self._response:
            self._response = ""
        values: list[Any] = []
        if response.get("status") == "failed":
            details = response.get("status_details")
            error = details.get("error") if isinstance(details, dict) else None
            values.append(Complaint(f"a response failed: {complaint_of(error)}"))
        if self._wants == "turn" or (self._wants and not self._tools):
            values += self._ask("turn")
        return values

    def _read_item(self, item: dict[str, Any]) -> Values:
        if item.get("type") != "function_call" or item.get("status") == "incomplete":
            return ()
        arguments = text(item, "arguments", MOST_ARGUMENTS)
        return self._call_tool(text(item, "call_id"), text(item, "name"), arguments)

    def _note_speech(self, message: dict[str, Any], field: str, place: int) -> None:
        at = message.get(field)
        if not isinstance(at, int):
            raise MalformedError(f"{field}: must be milliseconds", field=field)
        item = text(message, "item_id")
        if item not in self._speeches and len(self._speeches) >= _MOST_SPEECHES:
            del self._speeches[next(iter(self._speeches))]
        times = self._speeches.setdefault(item, [at, at])
        times[place] = at

    def _read_transcript(self, message: dict[str, Any]) -> Values:
        said = text(message, "transcript", MOST_SAID).strip()
        times = self._speeches.pop(text(message, "item_id"), None)
        if not said:
            return ()
        if times is None or not self._sent_ms:
            return (CallerText(said),)
        return (CallerText(said, self._began_ms + times[0], self._began_ms + times[1]),)


class OpenAiRealtimeStreams(AgentStreams):
    """The dialect with its credentials (a ``StreamDialect``)."""

    formats = (AudioFormat("pcm16", 24000), PCMU, PCMA)
    session = OpenAiRealtimeSession


def _settings(session: dict[str, Any], form: AudioFormat) -> dict[str, Any]:
    """Return the object of `session.update`: the settings, with the formats of the stream.

    TOML has no null: `{"type": "none"}` stands for it in `turn_detection` and `transcription`.

    Raises:
        MalformedError: A part that must be an object is not one; the error names it.
    """
    wire = {"type": _TYPES[form.encoding]} | ({"rate": 24000} if form.encoding == "pcm16" else {})
    given = session.pop("audio", {})
    parts: dict[str, dict[str, Any]] = {}
    for name in ("input", "output"):
        part = given.get(name, {}) if isinstance(given, dict) else None
        if not isinstance(part, dict):
            raise MalformedError(f"stream_session: audio.{name} must be an object", field="stream_session")
        parts[name] = part
    hears = merged({"transcription": _TRANSCRIBER, "turn_detection": {"type": "server_vad"}}, parts["input"])
    for name in ("transcription", "turn_detection"):
        value = hears[name]
        if value is not None and not isinstance(value, dict):
            raise MalformedError(
                f"stream_session: audio.input.{name} must be an object", field="stream_session"
            )
        if isinstance(value, dict) and value.get("type") == "none":
            hears[name] = None
    return {
        "type": "realtime",
        "output_modalities": ["audio"],
        **session,
        "audio": {"input": {**hears, "format": wire}, "output": {**parts["output"], "format": wire}},
    }
