"""The stream dialect of Google's Gemini Live API (`BidiGenerateContent`).

Written from Google's reference of the Live API. The first message is `setup`; audio is `realtimeInput`,
PCM16 at 16 kHz, and comes back at the rate of its MIME type. The service may send its JSON as binary.
With `automaticActivityDetection.disabled` the switch detects speech. The protocol has no message for how much
of an answer was heard: the service keeps what it has sent.
"""

import re
from typing import Any

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.stream_words import CallerText, ToolCancelled, ToolResult
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.agent_session import (
    MOST_SAID,
    AgentSession,
    AgentStreams,
    LeadIn,
    merged,
)
from softswitch.dialects.streams.json_session import audio as read_audio
from softswitch.dialects.streams.json_session import base64_text, child, encode, text
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import (
    AudioFormat,
    Complaint,
    Messages,
    Ready,
    Reply,
    StreamTraits,
    Values,
)
from softswitch.settings import Stream

_HEARS = AudioFormat("pcm16", 16000)
_SPEAKS = AudioFormat("pcm16", 24000)
_RATE = re.compile(r"audio/(?:pcm|l16)\s*;\s*rate=(\d{4,5})\b", re.IGNORECASE)
_RATES = range(8000, 48001)
_MODEL = "models/gemini-3.1-flash-live-preview"
_KINDS = frozenset(
    {"usageMetadata", "sessionResumptionUpdate", "voiceActivity", "voiceActivityDetectionSignal"}
)
"""Messages that say nothing that is used here."""


class GeminiLiveSession(AgentSession):
    """One Live session: its turns, and the words of the party that are not complete."""

    def __init__(
        self, request: StreamRequest, row: Stream, form: AudioFormat, session: dict[str, Any]
    ) -> None:
        self._greeting = session.pop("greeting", None)
        defaults = {
            "model": _MODEL,
            "generationConfig": {"responseModalities": ["AUDIO"]},
            "inputAudioTranscription": {},
            "outputAudioTranscription": {},
        }
        self._setup = merged(defaults, session)
        silent = _is_disabled(self._setup)
        self._lead_in = LeadIn() if silent else None
        super().__init__(
            request,
            row,
            StreamTraits(
                sends=form,
                receives=_SPEAKS,
                takes_binary=True,
                acknowledges_marks=False,
                awaits_ready=True,
                follows_speech=silent,
            ),
        )
        self._turn = 1
        self._understood = ""

    def _authorization(self, token: str) -> dict[str, str]:
        return {"x-goog-api-key": token}

    def opened(self, now_ms: int) -> Messages:
        """Return `setup`."""
        return (encode({"setup": self._setup}),)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return `realtimeInput` with audio; nothing in silence where the switch detects speech."""
        if self._lead_in is not None and not self._lead_in.passes(audio):
            return b""
        return self._input(audio)

    def speech(self, speaking: bool, now_ms: int) -> Values:
        """Return `activityStart` with the begin of the speech, or `activityEnd`."""
        if self._lead_in is None:
            return ()
        if not speaking:
            self._lead_in.end()
            return (Reply(encode({"realtimeInput": {"activityEnd": {}}})),)
        started = Reply(encode({"realtimeInput": {"activityStart": {}}}))
        return *self._interrupted(), started, Reply(self._input(self._lead_in.begin()))

    def tool_result(self, result: ToolResult, now_ms: int) -> Messages:
        """Return `toolResponse`."""
        name = self._tools.pop(result.id, None)
        if name is None:
            return ()
        answer = {
            "id": result.id,
            "name": name,
            "response": {"error" if result.failed else "output": result.result},
        }
        return (encode({"toolResponse": {"functionResponses": [answer]}}),)

    def read_binary(self, data: bytes, now_ms: int) -> Values:
        """Return what a JSON message in a binary frame means."""
        return self.read_text(data, now_ms)

    def _input(self, audio: bytes) -> bytes:
        mime = f"audio/pcm;rate={self.traits.sends.sample_rate}"
        return encode({"realtimeInput": {"audio": {"data": base64_text(audio), "mimeType": mime}}})

    def _interrupted(self) -> Values:
        if not self._said.is_waiting:
            return ()
        self._turn += 1
        return self._interrupt()

    def _values(self, message: dict[str, Any], now_ms: int) -> Values:
        values: list[Any] = []
        known = len(_KINDS & message.keys())
        for kind, read in (
            ("setupComplete", self._read_ready),
            ("serverContent", self._read_content),
            ("toolCall", self._read_calls),
            ("toolCallCancellation", self._read_cancelled),
            ("goAway", self._read_leaving),
        ):
            if kind in message:
                known += 1
                values += read(child(message, kind))
        if not known:
            raise MalformedError("the message is unknown to the Live API")
        return values

    def _read_ready(self, _: dict[str, Any]) -> Values:
        if not self._greeting:
            return (Ready(),)
        turn = {"role": "user", "parts": [{"text": str(self._greeting)}]}
        return Ready(), Reply(encode({"clientContent": {"turns": [turn], "turnComplete": True}}))

    def _read_content(self, content: dict[str, Any]) -> Values:
        values: list[Any] = []
        if "inputTranscription" in content:
            heard = text(child(content, "inputTranscription"), "text", MOST_SAID)
            self._understood = (self._understood + heard)[:MOST_SAID]
        if content.get("interrupted"):
            values += self._interrupted()
        if "outputTranscription" in content:
            values += self._party_done()
            self._write(self._name, text(child(content, "outputTranscription"), "text", MOST_SAID))
        if "modelTurn" in content:
            values += self._party_done()
            values += self._read_turn(child(content, "modelTurn"))
        if content.get("turnComplete"):
            values += (*self._party_done(), *self._end(self._name))
            self._turn += 1
        return values

    def _read_turn(self, turn: dict[str, Any]) -> Values:
        parts = turn.get("parts", [])
        if not isinstance(parts, list):
            raise MalformedError("parts: must be a list", field="parts")
        values: list[Any] = []
        for part in parts:
            if isinstance(part, dict) and "inlineData" in part:
                blob = child(part, "inlineData")
                found = _RATE.match(text(blob, "mimeType"))
                if found is None or int(found[1]) not in _RATES:
                    raise MalformedError("mimeType: must be audio/pcm with a rate", field="mimeType")
                form = AudioFormat("pcm16", int(found[1]))
                values += self._speak(self._name, read_audio(blob, "data"), form)
        return values

    def _read_calls(self, calls: dict[str, Any]) -> Values:
        functions = calls.get("functionCalls")
        if not isinstance(functions, list) or not all(isinstance(one, dict) for one in functions):
            raise MalformedError("functionCalls: must be a list of objects", field="functionCalls")
        values: list[Any] = []
        for one in functions:
            values += self._call_tool(text(one, "id"), text(one, "name"), one.get("args"))
        return values

    def _read_cancelled(self, cancelled: dict[str, Any]) -> Values:
        ids = cancelled.get("ids", [])
        if not isinstance(ids, list):
            raise MalformedError("ids: must be a list", field="ids")
        return [ToolCancelled(one) for one in ids if self._tools.pop(str(one), None) is not None]

    def _read_leaving(self, leaving: dict[str, Any]) -> Values:
        return (Complaint(f"the service will close the session in {str(leaving.get('timeLeft'))[:32]}"),)

    @property
    def _name(self) -> str:
        """Name of the utterance of this turn."""
        return f"turn {self._turn}"

    def _party_done(self) -> Values:
        """Return what the party has said, once the service answers it."""
        said, self._understood = self._understood.strip(), ""
        return (CallerText(said),) if said else ()


class GeminiLiveStreams(AgentStreams):
    """The dialect with its credentials (a ``StreamDialect``)."""

    formats = (_HEARS, AudioFormat("pcm16", 8000), AudioFormat("pcm16", 24000))
    session = GeminiLiveSession


def _is_disabled(setup: dict[str, Any]) -> bool:
    """Tell whether the service is asked to leave the detection of speech to the switch."""
    detection = setup.get("realtimeInputConfig")
    automatic = detection.get("automaticActivityDetection") if isinstance(detection, dict) else None
    return isinstance(automatic, dict) and automatic.get("disabled") is True
