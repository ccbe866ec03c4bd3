"""The stream dialect of Ultravox calls over WebSocket (`serverWebSocket`).

Written from Ultravox's pages "WebSockets" and "Data Messages". The application makes the call at Ultravox and
gives its `joinUrl` as the URL of the stream; both rates are those of the call. Audio is binary PCM16, data
messages are JSON. The protocol has no message for how much of an answer was heard.
"""

from typing import Any

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.stream_words import CallerText, ToolResult
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.agent_session import MOST_SAID, AgentStreams, PieceSession, result_text
from softswitch.dialects.streams.json_session import encode, text
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import AudioFormat, HangUp, Messages, StreamTraits, Values
from softswitch.settings import Stream

_UNUSED = frozenset(
    {"state", "pong", "debug", "call_started", "call_event", "user_started_speaking", "user_stopped_speaking"}
)
"""Messages that say nothing that is used here."""


class UltravoxSession(PieceSession):
    """One call at Ultravox; the service numbers its texts, and does not say which audio is the last."""

    def __init__(
        self, request: StreamRequest, row: Stream, form: AudioFormat, session: dict[str, Any]
    ) -> None:
        if session:
            raise MalformedError(
                "stream_session: the session is set up when the call is made at Ultravox",
                field="stream_session",
            )
        super().__init__(
            request,
            row,
            StreamTraits(
                sends=form, receives=form, binary_media=True, takes_binary=True, acknowledges_marks=False
            ),
        )
        self._ordinal = -1
        """Number of the text of the agent that is being spoken."""

    def _authorization(self, token: str) -> dict[str, str]:
        return {"X-API-Key": token}

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return the audio as it is."""
        return audio

    def tool_result(self, result: ToolResult, now_ms: int) -> Messages:
        """Return `client_tool_result`."""
        if self._tools.pop(result.id, None) is None:
            return ()
        answer: dict[str, Any] = {"type": "client_tool_result", "invocationId": result.id}
        if result.failed:
            answer |= {"errorType": "implementation-error", "errorMessage": result_text(result.result)}
        else:
            answer |= {"result": result_text(result.result), "responseType": "tool-response"}
        return (encode(answer),)

    def read_binary(self, data: bytes, now_ms: int) -> Values:
        """Return the audio of the agent, with a mark behind it."""
        return self._speak_piece(data)

    def _values(self, message: dict[str, Any], now_ms: int) -> Values:
        kind = message.get("type")
        match kind:
            case "transcript":
                return self._read_transcript(message)
            case "playback_clear_buffer":
                return self._interrupt_answer()
            case "client_tool_invocation":
                return self._call_tool(
                    text(message, "invocationId"), text(message, "toolName"), message.get("parameters")
                )
            case "hang_up":
                return (HangUp(drain=True),)
        if kind in _UNUSED:
            return ()
        raise MalformedError("type: is no data message", field="type")

    def _read_transcript(self, message: dict[str, Any]) -> Values:
        whole = isinstance(message.get("text"), str)
        said = text(message, "text" if whole else "delta", MOST_SAID)
        if message.get("role") == "user":
            is_final = whole and message.get("final") is True and bool(said.strip())
            return (CallerText(said.strip()),) if is_final else ()
        ordinal = message.get("ordinal")
        utterance = self._said.utterance(self._name)
        if utterance is None:
            return ()
        if not whole:
            utterance.write(said)
            self._ordinal = ordinal if isinstance(ordinal, int) else self._ordinal
        elif ordinal != self._ordinal:
            # The text so far of an utterance that came in no pieces.
            utterance.text = said
        return ()


class UltravoxStreams(AgentStreams):
    """The dialect with its credentials (a ``StreamDialect``)."""

    formats = tuple(AudioFormat("pcm16", rate) for rate in (48000, 24000, 16000, 8000))
    session = UltravoxSession
