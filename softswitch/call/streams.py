"""The streams of a call: their bounds, their state, and what their services tell the application."""

from dataclasses import dataclass, field
from typing import assert_never

from softswitch.call.outbox import Outbox
from softswitch.call.outcome import Outcome, Over
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import (
    AnswerTool,
    MediaPassOption,
    StartStream,
    StopStream,
    StreamOption,
)
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.stream_words import (
    CallerText,
    FromService,
    KeyPressed,
    PartySpeech,
    ServiceText,
    ToolCall,
    ToolCancelled,
    ToolResult,
    ToService,
)
from softswitch.call.vocabulary.values import Subject
from softswitch.urls import is_websocket, with_plain_scheme

MAX_TWO_WAY = 1
MAX_ONE_WAY = 5
MAX_TOOL_CALLS = 64
"""Tool calls of one stream that may wait for a result; a further one is answered as failed."""
AGENT = "agent"
"""Speaker of the lines that a service adds to the history."""
_SERVICE = Subject("machine")


@dataclass(slots=True)
class Stream:
    """One stream, from its command to its end."""

    command: StartStream
    up: bool = False
    """Whether its service was connected at least once."""
    tools: dict[str, str] = field(default_factory=dict)
    """Names of the tool calls that wait for a result, by id."""


class Streams:
    """The streams of one call; audio and marks flow between engine and service without the call."""

    def __init__(self, outbox: Outbox) -> None:
        """Start with none."""
        self._outbox = outbox
        self._streams: dict[str, Stream] = {}
        self._texts = 0
        """Number of the texts of the party that services have understood."""

    def __len__(self) -> int:
        """Return the number of streams, including those that still connect."""
        return len(self._streams)

    def options(self) -> tuple[StreamOption, ...]:
        """Return the option of each stream, the oldest first."""
        return tuple(stream.command.option for stream in self._streams.values())

    def two_way(self) -> tuple[str, ...]:
        """Return the ids of the streams whose services may speak."""
        return tuple(name for name, stream in self._streams.items() if stream.command.option.two_way)

    def command(self, command: StartStream | StopStream | AnswerTool, leg: str) -> None:
        """Open or end a stream, or answer a tool call of its service.

        Args:
            command: The command.
            leg: The leg whose audio is streamed.

        Raises:
            CommandRejected: The stream is unknown or one too many, or the tool call is unknown.
        """
        if isinstance(command, StartStream):
            self._start(command, leg)
        elif isinstance(command, AnswerTool):
            self._answer(command)
        elif command.stream in self._streams:
            self._outbox.do(effects.CloseStream(command.stream))
        else:
            raise CommandRejected(Reason.UNKNOWN_STREAM, 404, field="stream")

    def dial(self, callee: str, leg: str) -> None:
        """Open the two-way stream that is the callee of an invite; the call ends with it.

        Args:
            callee: ``stream:`` and the URL of the service.
            leg: The leg whose audio is streamed.

        Raises:
            CommandRejected: The URL is not that of a WebSocket, or the call has a two-way stream.
        """
        url = callee.partition(":")[2]
        if not is_websocket(url):
            raise CommandRejected(Reason.NO_SERVICE, 400, field="callee", value=callee)
        option = StreamOption(with_plain_scheme(url), two_way=True, hangup_on_close=True)
        self._start(StartStream(stream=f"{self._outbox.session}-callee", option=option), leg)

    def pass_media(self, option: MediaPassOption, leg: str) -> None:
        """Open the stream that an invite asks for as `mediaPass`, in the format of its protocol."""
        stream = StreamOption(
            option.url,
            two_way=True,
            headers=option.headers,
            live=option.live,
            protocol=option.protocol,
            session=option.session,
        )
        self._start(StartStream(stream=f"{self._outbox.session}-media-pass", option=stream), leg)

    def report(self, report: reports.StreamReport) -> Outcome:
        """Apply a report of a stream; return what it means for the call."""
        stream = self._streams.get(report.stream)
        if stream is None:
            return None
        if isinstance(report, reports.StreamOpened):
            status = "resumed" if stream.up else "started"
            stream.up = True
            self._tell(report.stream, status)
            return None
        if isinstance(report, reports.StreamWarned):
            self._tell(report.stream, "warning", report.reason)
            return None
        if isinstance(report, reports.StreamTold):
            self._told(report.stream, stream, report.word)
            return None
        del self._streams[report.stream]
        self._tell(report.stream, report.status, report.reason)
        leaves = report.status != "stopped" and stream.command.option.hangup_on_close
        return Over("stream_closed", "callee") if leaves else None

    def pressed(self, digit: str) -> None:
        """Tell the services that the party pressed a key; the dialect of each decides what is sent."""
        self._tell_services(KeyPressed(digit))

    def spoke(self, speaking: bool) -> None:
        """Tell the services that the party began or ended to speak."""
        if self._streams:
            self._tell_services(PartySpeech(speaking))

    def close(self) -> None:
        """Forget all streams; the executor ends them with the call."""
        self._streams.clear()

    def _tell_services(self, word: ToService) -> None:
        for name in self._streams:
            self._outbox.do(effects.TellStream(name, word))

    def _told(self, name: str, stream: Stream, word: FromService) -> None:
        match word:
            case CallerText():
                self._understood(word)
            case ServiceText():
                self._heard(name, word)
            case ToolCall():
                self._call_tool(name, stream, word)
            case ToolCancelled():
                if (tool := stream.tools.pop(word.id, None)) is not None:
                    self._emit_tool(name, ToolCall(word.id, tool), "cancelled")
            case _:
                assert_never(word)

    def _understood(self, word: CallerText) -> None:
        now = self._outbox.clock()
        ended = now if word.ended_ms is None else word.ended_ms / 1000
        self._outbox.emit(
            events.AsrFinal(
                timestamp=now,
                subject=self._outbox.party,
                index=self._texts,
                start_time=ended if word.began_ms is None else word.began_ms / 1000,
                end_time=ended,
                text=word.text,
            )
        )
        self._texts += 1

    def _heard(self, name: str, word: ServiceText) -> None:
        timestamp = self._outbox.clock()
        if word.interrupted:
            self._outbox.emit(
                events.Interruption(
                    timestamp=timestamp,
                    subject=_SERVICE,
                    position=word.heard_ms,
                    current=word.heard_ms,
                    play_id=name,
                    total_duration=word.total_ms,
                    subtitle=word.text or None,
                )
            )
        if word.text:
            self._outbox.emit(
                events.HistoryAdded(
                    timestamp=timestamp, subject=_SERVICE, sender=name, speaker=AGENT, text=word.text
                )
            )

    def _call_tool(self, name: str, stream: Stream, call: ToolCall) -> None:
        if len(stream.tools) >= MAX_TOOL_CALLS:
            text = f"more than {MAX_TOOL_CALLS} tool calls wait for a result"
            self._outbox.do(effects.TellStream(name, ToolResult(call.id, text, failed=True)))
            self._tell(name, "warning", text)
            return
        stream.tools[call.id] = call.name
        self._emit_tool(name, call, "requested")

    def _emit_tool(self, name: str, call: ToolCall, status: str) -> None:
        self._outbox.emit(
            events.ToolCall(
                timestamp=self._outbox.clock(),
                subject=_SERVICE,
                stream_id=name,
                tool_call_id=call.id,
                name=call.name,
                arguments=call.arguments,
                status=status,
            )
        )

    def _answer(self, command: AnswerTool) -> None:
        for name, stream in self._streams.items():
            if stream.tools.pop(command.tool_call, None) is not None:
                result = ToolResult(command.tool_call, command.result, command.failed)
                self._outbox.do(effects.TellStream(name, result))
                return
        raise CommandRejected(Reason.UNKNOWN_TOOL_CALL, 404, field="tool_call", value=command.tool_call[:64])

    def _tell(self, stream: str, status: str, reason: str = "") -> None:
        self._outbox.emit(
            events.StreamChanged(
                timestamp=self._outbox.clock(),
                subject=self._outbox.party,
                stream_id=stream,
                status=status,
                reason=reason or None,
            )
        )

    def _start(self, command: StartStream, leg: str) -> None:
        two_way = command.option.two_way
        count = sum(stream.command.option.two_way == two_way for stream in self._streams.values())
        if two_way and count >= MAX_TWO_WAY:
            raise CommandRejected(Reason.TOO_MANY_TWO_WAY, 422, limit=MAX_TWO_WAY)
        if not two_way and count >= MAX_ONE_WAY:
            raise CommandRejected(Reason.TOO_MANY_ONE_WAY, 422, limit=MAX_ONE_WAY)
        if command.stream in self._streams:
            raise CommandRejected(Reason.STREAM_EXISTS, 409, field="stream", value=command.stream)
        self._streams[command.stream] = Stream(command)
        self._outbox.do(effects.OpenStream(command.stream, leg, command.option))
