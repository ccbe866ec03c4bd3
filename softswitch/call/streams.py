"""The streams of a call: how many there may be, and what becomes of each."""

from dataclasses import dataclass

from softswitch.call import effects, events, reports
from softswitch.call.commands import CommandRejected, StartStream, StopStream, StreamOption
from softswitch.call.outbox import Outbox
from softswitch.call.outcome import Outcome, Over

MAX_TWO_WAY = 1
MAX_ONE_WAY = 5


@dataclass(slots=True)
class Stream:
    """One stream, from the moment it is asked for."""

    command: StartStream
    up: bool = False
    """Whether its service was ever connected."""


class Streams:
    """The streams of one call; marks and audio pass them by, straight between engine and service."""

    def __init__(self, outbox: Outbox) -> None:
        """Start with none."""
        self._outbox = outbox
        self._streams: dict[str, Stream] = {}

    def __len__(self) -> int:
        """Return how many there are, those that are connecting among them."""
        return len(self._streams)

    def has(self, option: StreamOption) -> bool:
        """Tell whether there is a stream exactly like this."""
        return any(stream.command.option == option for stream in self._streams.values())

    def command(self, command: StartStream | StopStream, leg: str) -> None:
        """Open or end a stream; raises CommandRejected where it cannot be.

        Args:
            command: What is asked for.
            leg: The party of the call, whose audio is streamed.
        """
        if isinstance(command, StartStream):
            self._start(command, leg)
        elif command.stream in self._streams:
            self._outbox.do(effects.CloseStream(command.stream))
        else:
            raise CommandRejected("Stream not found", 404)

    def report(self, report: reports.StreamReport) -> Outcome:
        """Take note of what a stream did; return what that means for the call."""
        stream = self._streams.get(report.stream)
        if stream is None:
            return None
        if isinstance(report, reports.StreamOpened):
            status = "resumed" if stream.up else "started"
            stream.up = True
            self._tell(report.stream, status)
            return None
        del self._streams[report.stream]
        self._tell(report.stream, report.status, report.reason)
        leaves = report.status != "stopped" and stream.command.option.hangup_on_close
        return Over("stream_closed", "callee") if leaves else None

    def pressed(self, digit: str) -> None:
        """Tell the services that want to know that the party pressed a key."""
        for name, stream in self._streams.items():
            if "dtmf" in stream.command.option.extras:
                self._outbox.do(effects.TellStream(name, digit))

    def close(self) -> None:
        """Forget all of them: the call is over, and what carries it ends them."""
        self._streams.clear()

    def _tell(self, stream: str, status: str, reason: str = "") -> None:
        self._outbox.emit(
            events.StreamChanged(
                timestamp=self._outbox.epoch_ms(),
                track_id=self._outbox.session,
                stream_id=stream,
                status=status,
                reason=reason or None,
            )
        )

    def _start(self, command: StartStream, leg: str) -> None:
        two_way = command.option.two_way
        count = sum(stream.command.option.two_way == two_way for stream in self._streams.values())
        if two_way and count >= MAX_TWO_WAY:
            raise CommandRejected("Only one bidirectional stream is allowed per call", 422)
        if not two_way and count >= MAX_ONE_WAY:
            raise CommandRejected(f"Up to {MAX_ONE_WAY} unidirectional streams are allowed per call", 422)
        if command.stream in self._streams:
            raise CommandRejected(f"stream: {command.stream!r} is open already", 409)
        self._streams[command.stream] = Stream(command)
        self._outbox.do(effects.OpenStream(command.stream, leg, command.option))
