"""Loopback servers of the speech-to-speech services; they check every message of the switch.

Each checks what its vendor's reference demands of a client: the order of the first messages, their types and
fields, base64, and that nothing is sent before it may be.
"""

import base64
import json
from typing import Any, ClassVar

from tests.support.dialect_bots import Message, Protocol


def only(message: Message, required: set[str], optional: frozenset[str] = frozenset()) -> None:
    """Make sure that a message has these fields and no other."""
    assert required <= message.keys() <= required | optional, message


class Agent(Protocol):
    """A voice agent: what the tests have in common for all services."""

    marks = False
    law = False
    key_header = "Authorization"
    key_form = "Bearer {}"
    truncates = False
    """Whether the protocol tells the service how much was heard."""
    knows_end = True
    """Whether the service says which audio is the last."""
    session: ClassVar[dict[str, Any]] = {}
    """Settings for the request of the stream, which the server expects in its first message."""

    def __init__(self) -> None:
        super().__init__()
        self.silent = False
        """Say nothing at all, not even that the session has begun."""
        self.results: list[tuple[str, Any, bool]] = []
        """Results of tools: id, result, whether it failed."""
        self.truncated: list[tuple[str, int]] = []
        self.notes: list[str] = []
        self.asked = 0
        """Responses that the switch has asked for."""
        self.audible = False
        """Whether the switch may send audio."""

    def marked(self, message: Message) -> str:
        return ""

    def begin(self) -> list[str | bytes]:
        """Return what the service says first."""
        return []

    def answers(self, message: Message) -> list[str | bytes]:
        replies = self.check(message)
        return [] if self.silent else replies

    def check(self, message: Message) -> list[str | bytes]:
        """Check a message; return the answers."""
        raise NotImplementedError

    def said(self, text: str, data: bytes) -> list[str | bytes]:
        """Return the messages of an utterance with its words, but for its end."""
        raise NotImplementedError

    def end(self) -> list[str | bytes]:
        """Return the messages that end an utterance."""
        raise NotImplementedError

    def heard(self, text: str) -> list[str | bytes]:
        """Return the messages about what the party has said."""
        raise NotImplementedError

    def tool(self, tool: str, name: str, arguments: dict[str, Any]) -> list[str | bytes]:
        """Return the messages of a tool call."""
        raise NotImplementedError


def b64(text: object) -> bytes:
    """Return the bytes of strict base64."""
    assert isinstance(text, str)
    assert text
    return base64.b64decode(text, validate=True)


class OpenAi(Agent):
    """OpenAI Realtime: every event has a type; `session.update` is the first."""

    name, rate = "openai-realtime", 24000
    truncates = True
    session: ClassVar[dict[str, Any]] = {"instructions": "Be brief.", "audio": {"output": {"voice": "marin"}}}

    def __init__(self) -> None:
        super().__init__()
        self._event = self._response = 0
        self.active = False
        self.appended_ms = 0.0
        self.audio_ms: dict[str, float] = {}
        self.done: set[str] = set()
        self.waiting_tools: set[str] = set()

    def typed(self, kind: str, **fields: object) -> str:
        self._event += 1
        return json.dumps({"type": kind, "event_id": f"event_{self._event}", **fields})

    def check(self, message: Message) -> list[str | bytes]:
        kind = message["type"]
        if kind == "session.update":
            assert not self.audible, "session.update came twice"
            only(message, {"type", "event_id", "session"})
            session = message["session"]
            assert session["type"] == "realtime"
            assert session["output_modalities"] == ["audio"]
            for way in ("input", "output"):
                assert session["audio"][way]["format"] == {"type": "audio/pcm", "rate": 24000}
            assert isinstance(session["audio"]["input"]["transcription"]["model"], str)
            self.turns = session["audio"]["input"]["turn_detection"]
            self.settings = session
            self.audible = True
            return [self.typed("session.created", session={}), self.typed("session.updated", session=session)]
        assert self.audible, f"{kind} came before session.update"
        match kind:
            case "input_audio_buffer.append":
                only(message, {"type", "audio"})
                assert len(b64(message["audio"])) % 2 == 0
            case "input_audio_buffer.commit":
                only(message, {"type"})
                assert self.turns is None, "the service commits by itself"
                assert self.appended_ms >= 100, "the service refuses less than 100 ms"
                self.appended_ms = 0.0
                return [self.typed("input_audio_buffer.committed", item_id="item_party")]
            case "response.create":
                only(message, {"type"}, frozenset({"response"}))
                assert not self.active, "there is an active response"
                assert not self.waiting_tools, "a tool has no result"
                self.asked += 1
                return self.respond()
            case "response.cancel":
                only(message, {"type"}, frozenset({"response_id"}))
                assert self.turns is None, "the service cancels by itself"
                return self.finish("cancelled")
            case "conversation.item.truncate":
                only(message, {"type", "item_id", "content_index", "audio_end_ms"})
                assert message["content_index"] == 0
                item, end_ms = message["item_id"], message["audio_end_ms"]
                assert isinstance(end_ms, int)
                assert 0 <= end_ms <= self.audio_ms[item], "more than the item has"
                self.truncated.append((item, end_ms))
                return [
                    self.typed(
                        "conversation.item.truncated", item_id=item, content_index=0, audio_end_ms=end_ms
                    )
                ]
            case "conversation.item.create":
                only(message, {"type", "item"})
                only(message["item"], {"type", "call_id", "output"})
                assert message["item"]["type"] == "function_call_output"
                self.waiting_tools.remove(message["item"]["call_id"])
                output = json.loads(message["item"]["output"])
                failed = isinstance(output, dict) and "error" in output
                self.results.append(
                    (message["item"]["call_id"], output["error"] if failed else output, failed)
                )
            case _:
                raise AssertionError(f"{kind} is unknown")
        return []

    def payload(self, message: Message) -> bytes:
        if message.get("type") != "input_audio_buffer.append":
            return b""
        data = b64(message["audio"])
        self.appended_ms += len(data) / 48
        return data

    @property
    def item(self) -> str:
        return f"item_{self._response}"

    def respond(self) -> list[str | bytes]:
        self._response += 1
        self.active = True
        self.audio_ms[self.item] = 0.0
        response = {"id": f"resp_{self._response}", "status": "in_progress"}
        return [self.typed("response.created", response=response)]

    def finish(self, status: str) -> list[str | bytes]:
        self.active = False
        return [self.typed("response.done", response={"id": f"resp_{self._response}", "status": status})]

    def place(self) -> dict[str, object]:
        return {
            "response_id": f"resp_{self._response}",
            "item_id": self.item,
            "output_index": 0,
            "content_index": 0,
        }

    def audio(self, data: bytes) -> str:
        self.audio_ms.setdefault(self.item, 0.0)
        self.audio_ms[self.item] += len(data) / 48
        delta = base64.b64encode(data).decode()
        return self.typed("response.output_audio.delta", delta=delta, **self.place())

    def said(self, text: str, data: bytes) -> list[str | bytes]:
        begun = self.respond()
        words = self.typed("response.output_audio_transcript.delta", delta=text, **self.place())
        return [*begun, words, self.audio(data)]

    def end(self) -> list[str | bytes]:
        place = self.place()
        return [
            self.typed("response.output_audio.done", **place),
            self.typed("response.output_audio_transcript.done", transcript="", **place),
            *self.finish("completed"),
        ]

    def clear(self) -> str:
        self.appended_ms = 0.0
        started = self.typed("input_audio_buffer.speech_started", audio_start_ms=1000, item_id="item_party")
        self._response += 1  # What is sent from now on belongs to another response.
        self.active = False
        return started

    def heard(self, text: str) -> list[str | bytes]:
        return [
            self.typed("input_audio_buffer.speech_started", audio_start_ms=20, item_id="item_a"),
            self.typed("input_audio_buffer.speech_stopped", audio_end_ms=620, item_id="item_a"),
            self.typed(
                "conversation.item.input_audio_transcription.completed",
                item_id="item_a",
                content_index=0,
                transcript=text,
                usage={"type": "duration", "seconds": 1},
            ),
        ]

    def tool(self, tool: str, name: str, arguments: dict[str, Any]) -> list[str | bytes]:
        begun = self.respond()
        self.waiting_tools.add(tool)
        item = {
            "id": f"fc_{tool}",
            "type": "function_call",
            "status": "completed",
            "call_id": tool,
            "name": name,
            "arguments": json.dumps(arguments),
        }
        done = self.typed(
            "response.output_item.done", response_id=f"resp_{self._response}", output_index=0, item=item
        )
        return [*begun, done, *self.finish("completed")]


class Gemini(Agent):
    """Gemini Live: each message has one field; the first is `setup`; JSON comes in binary messages."""

    name, rate = "gemini-live", 16000
    key_header, key_form = "x-goog-api-key", "{}"
    session: ClassVar[dict[str, Any]] = {
        "model": "models/m",
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
    }

    def check(self, message: Message) -> list[str | bytes]:
        assert len(message) == 1, message
        [(kind, body)] = message.items()
        if kind == "setup":
            assert not self.audible, "setup came twice"
            assert body["model"].startswith("models/")
            assert body["generationConfig"]["responseModalities"] == ["AUDIO"]
            assert body["inputAudioTranscription"] == body["outputAudioTranscription"] == {}
            self.settings = body
            self.audible = True
            return [b'{"setupComplete":{}}']
        assert self.audible, f"{kind} came before setup"
        if kind == "toolResponse":
            [answer] = body["functionResponses"]
            only(answer, {"id", "name", "response"})
            [(outcome, result)] = answer["response"].items()
            assert outcome in ("output", "error")
            self.results.append((answer["id"], result, outcome == "error"))
        else:
            assert kind == "realtimeInput", kind
            assert body.keys() in ({"audio"}, {"activityStart"}, {"activityEnd"}), body
        return []

    def payload(self, message: Message) -> bytes:
        audio = message.get("realtimeInput", {}).get("audio")
        if audio is None:
            return b""
        only(audio, {"data", "mimeType"})
        assert audio["mimeType"] == "audio/pcm;rate=16000"
        return b64(audio["data"])

    def content(self, **fields: object) -> bytes:
        return json.dumps({"serverContent": fields}).encode()

    def audio(self, data: bytes) -> bytes:
        # The suites speak at the rate that they hear at; the service itself speaks at 24 kHz.
        blob = {"mimeType": f"audio/pcm;rate={self.rate}", "data": base64.b64encode(data).decode()}
        return self.content(modelTurn={"parts": [{"inlineData": blob}]})

    def said(self, text: str, data: bytes) -> list[str | bytes]:
        return [self.content(outputTranscription={"text": text}), self.audio(data)]

    def end(self) -> list[str | bytes]:
        return [self.content(generationComplete=True), self.content(turnComplete=True)]

    def clear(self) -> str:
        return self.content(interrupted=True).decode()

    def heard(self, text: str) -> list[str | bytes]:
        return [
            self.content(inputTranscription={"text": text[:3]}),
            self.content(inputTranscription={"text": text[3:]}),
            self.content(turnComplete=True),
        ]

    def tool(self, tool: str, name: str, arguments: dict[str, Any]) -> list[str | bytes]:
        calls = [{"id": tool, "name": name, "args": arguments}]
        return [json.dumps({"toolCall": {"functionCalls": calls}}).encode()]


class ElevenLabs(Agent):
    """ElevenLabs Agents: audio chunks have no type; every ping wants a pong."""

    name, rate = "elevenlabs-agent", 16000
    key_header, key_form = "xi-api-key", "{}"
    knows_end = False
    session: ClassVar[dict[str, Any]] = {"conversation_config_override": {"agent": {"first_message": "Hi."}}}

    def __init__(self) -> None:
        super().__init__()
        self._audio = 0
        self._chunks_before_pong = 0
        self._pings: list[int] = []

    def check(self, message: Message) -> list[str | bytes]:
        if not self.audible:
            assert message["type"] == "conversation_initiation_client_data", message
            self.settings = message
            self.audible = True
            metadata = {
                "conversation_id": "c1",
                "agent_output_audio_format": "pcm_16000",
                "user_input_audio_format": "pcm_16000",
            }
            begun = {
                "type": "conversation_initiation_metadata",
                "conversation_initiation_metadata_event": metadata,
            }
            self._pings.append(7)
            ping = {"type": "ping", "ping_event": {"event_id": 7, "ping_ms": 40}}
            return [json.dumps(begun), json.dumps(ping)]
        match message.get("type"):
            case None:
                only(message, {"user_audio_chunk"})
                # Audio may be on its way already when the ping comes.
                self._chunks_before_pong = self._chunks_before_pong + 1 if self._pings else 0
                assert self._chunks_before_pong < 250, "the pong is late"
            case "pong":
                only(message, {"type", "event_id"})
                self._pings.remove(message["event_id"])
            case "client_tool_result":
                only(message, {"type", "tool_call_id", "result", "is_error"})
                assert isinstance(message["result"], str)
                failed = message["is_error"]
                result = message["result"] if failed else json.loads(message["result"])
                self.results.append((message["tool_call_id"], result, failed))
            case "contextual_update":
                only(message, {"type", "text"})
                self.notes.append(message["text"])
            case kind:
                raise AssertionError(f"{kind} is unknown")
        return []

    def payload(self, message: Message) -> bytes:
        return b64(message["user_audio_chunk"]) if "user_audio_chunk" in message else b""

    def audio(self, data: bytes) -> str:
        self._audio += 1
        event = {"event_id": self._audio, "audio_base_64": base64.b64encode(data).decode()}
        return json.dumps({"type": "audio", "audio_event": event})

    def said(self, text: str, data: bytes) -> list[str | bytes]:
        spoken = json.loads(self.audio(data))
        each = len(data) / 32 / len(text)
        spoken["audio_event"]["alignment"] = {
            "chars": list(text),
            "char_start_times_ms": [round(place * each) for place in range(len(text))],
            "char_durations_ms": [round(each)] * len(text),
        }
        response = {"type": "agent_response", "agent_response_event": {"agent_response": text}}
        return [json.dumps(response), json.dumps(spoken)]

    def end(self) -> list[str | bytes]:
        return []

    def clear(self) -> str:
        return json.dumps({"type": "interruption", "interruption_event": {"event_id": self._audio}})

    def heard(self, text: str) -> list[str | bytes]:
        return [
            json.dumps({"type": "user_transcript", "user_transcription_event": {"user_transcript": text}})
        ]

    def tool(self, tool: str, name: str, arguments: dict[str, Any]) -> list[str | bytes]:
        call = {"tool_name": name, "tool_call_id": tool, "parameters": arguments}
        return [json.dumps({"type": "client_tool_call", "client_tool_call": call})]


class Deepgram(Agent):
    """Deepgram Voice Agent: the service speaks first; audio is binary, after `SettingsApplied`."""

    name, rate = "deepgram-agent", 24000
    key_form = "Token {}"
    session: ClassVar[dict[str, Any]] = {"agent": {"think": {"prompt": "Be brief."}, "greeting": "Hi."}}

    def begin(self) -> list[str | bytes]:
        return [json.dumps({"type": "Welcome", "request_id": "r1"})]

    def check(self, message: Message) -> list[str | bytes]:
        match message["type"]:
            case "Settings":
                assert not self.audible, "Settings came twice"
                wire = {"encoding": "linear16", "sample_rate": 24000}
                assert message["audio"] == {"input": wire, "output": {**wire, "container": "none"}}
                assert isinstance(message["agent"], dict)
                self.settings = message
                self.audible = True
                return [json.dumps({"type": "SettingsApplied"})]
            case "KeepAlive":
                assert self.audible
            case "FunctionCallResponse":
                only(message, {"type", "id", "name", "content"})
                content = json.loads(message["content"])
                failed = isinstance(content, dict) and "error" in content
                self.results.append((message["id"], content["error"] if failed else content, failed))
            case kind:
                raise AssertionError(f"{kind} is unknown")
        return []

    def hears(self, data: bytes) -> None:
        assert self.audible, "audio came before SettingsApplied"
        assert len(data) == 960

    def payload(self, message: Message) -> bytes:
        return b""

    def audio(self, data: bytes) -> bytes:
        return data

    def said(self, text: str, data: bytes) -> list[str | bytes]:
        return [json.dumps({"type": "ConversationText", "role": "assistant", "content": text}), data]

    def end(self) -> list[str | bytes]:
        return [json.dumps({"type": "AgentAudioDone"})]

    def clear(self) -> str:
        return json.dumps({"type": "UserStartedSpeaking"})

    def heard(self, text: str) -> list[str | bytes]:
        return [json.dumps({"type": "ConversationText", "role": "user", "content": text})]

    def tool(self, tool: str, name: str, arguments: dict[str, Any]) -> list[str | bytes]:
        call = {"id": tool, "name": name, "arguments": json.dumps(arguments), "client_side": True}
        return [json.dumps({"type": "FunctionCallRequest", "functions": [call]})]


class Ultravox(Agent):
    """Ultravox: binary audio from the first moment, data messages beside it."""

    name, rate = "ultravox", 48000
    key_header, key_form = "X-API-Key", "{}"
    knows_end = False

    def __init__(self) -> None:
        super().__init__()
        self._ordinal = 0
        self.settings: Message = {}

    def check(self, message: Message) -> list[str | bytes]:
        assert message["type"] == "client_tool_result", message
        if "errorType" in message:
            only(message, {"type", "invocationId", "errorType", "errorMessage"})
            self.results.append((message["invocationId"], message["errorMessage"], True))
        else:
            only(message, {"type", "invocationId", "result", "responseType"})
            self.results.append((message["invocationId"], json.loads(message["result"]), False))
        return []

    def hears(self, data: bytes) -> None:
        assert len(data) == 1920

    def payload(self, message: Message) -> bytes:
        return b""

    def audio(self, data: bytes) -> bytes:
        return data

    def text(self, role: str, **fields: object) -> str:
        self._ordinal += 1
        return json.dumps(
            {"type": "transcript", "role": role, "medium": "voice", "ordinal": self._ordinal, **fields}
        )

    def said(self, text: str, data: bytes) -> list[str | bytes]:
        return [self.text("agent", delta=text, final=False), data]

    def end(self) -> list[str | bytes]:
        return []

    def clear(self) -> str:
        return json.dumps({"type": "playback_clear_buffer"})

    def heard(self, text: str) -> list[str | bytes]:
        return [self.text("user", text=text, final=True)]

    def tool(self, tool: str, name: str, arguments: dict[str, Any]) -> list[str | bytes]:
        call = {"invocationId": tool, "toolName": name, "parameters": arguments}
        return [json.dumps({"type": "client_tool_invocation", **call})]


AGENTS: tuple[type[Agent], ...] = (OpenAi, Gemini, ElevenLabs, Deepgram, Ultravox)
