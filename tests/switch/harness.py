"""A switch with a fake engine, fake speech and a store that only remembers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import msgspec

from softswitch.call.interfaces import Endpoint, IncomingCall, LegRequest
from softswitch.call.vocabulary.reports import LegAnswered, Report
from softswitch.call.vocabulary.values import Candidate
from softswitch.egress.http import EgressClient
from softswitch.media import messages as m
from softswitch.metrics import Metrics
from softswitch.settings import Limits, Paths, Settings
from softswitch.sip.trace import SipMessage
from softswitch.speech import provider as speech
from softswitch.speech.provider import Providers
from softswitch.store.store import AuditRecord, CallPart, CallRecord, NewRecording, Recording, Store
from softswitch.switch.directory import CallDirectory
from softswitch.switch.resources import Resources
from softswitch.switch.routes import Routes
from softswitch.switch.switch import Switch

T = TypeVar("T", bound=m.Message)


class FakeEngine:
    """Remembers what it was told."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.posted: list[m.Message] = []
        self.fed: list[tuple[int, bytes]] = []

    def post(self, message: m.Message) -> None:
        """Remember a message."""
        self.posted.append(message)

    def feed(self, port: int, data: bytes) -> None:
        """Remember audio."""
        self.fed.append((port, data))

    def feed_socket(self, port: int) -> None:
        """Serve no socket."""

    def open_stream(self, number: int, stream: str, capacity_ms: int) -> None:
        """Serve no stream."""

    def told(self, kind: type[T]) -> list[T]:
        """Return the messages of one kind."""
        return [message for message in self.posted if isinstance(message, kind)]


class FakeTts:
    """Speaks each push as 100 ms of a constant, or fails."""

    warnings: Sequence[str] = ()

    def __init__(self, error: str = "") -> None:
        """Speak, or yield this error."""
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()
        self._error = error
        self.cancelled = False

    def push_text(self, text: str) -> None:
        """Take text."""
        self._texts.put_nowait(text)

    def flush(self) -> None:
        """End."""
        self._texts.put_nowait(None)

    def cancel(self) -> None:
        """Stop."""
        self.cancelled = True

    async def __aiter__(self) -> AsyncIterator[speech.TtsOutput]:
        """Yield what was pushed."""
        while (text := await self._texts.get()) is not None:
            if self._error:
                yield speech.SpeechError("tts", self._error, 503)
                return
            yield speech.TtsAudio(b"\1\0" * 1600, 16000, text, last=True)
        yield speech.TtsDone(100)


class FakeAsr:
    """Yields what the test puts in; remembers what it hears."""

    warnings: Sequence[str] = ()

    def __init__(self) -> None:
        """Start deaf."""
        self.outputs: asyncio.Queue[speech.AsrOutput | None] = asyncio.Queue()
        self.heard: list[bytes] = []
        self.finals = 0
        self.closed = False

    def push(self, pcm: bytes) -> None:
        """Remember audio."""
        self.heard.append(pcm)

    def finalize(self) -> None:
        """Count."""
        self.finals += 1

    def close(self) -> None:
        """Note it; the iteration ends."""
        self.closed = True
        self.outputs.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[speech.AsrOutput]:
        """Yield what the test puts in, until the stream is closed."""
        while (output := await self.outputs.get()) is not None:
            yield output


@dataclass
class FakeProviders:
    """Opens fake streams."""

    tts_error: str = ""
    warnings: list[str] = field(default_factory=list)
    spoken: list[FakeTts] = field(default_factory=list)
    heard: list[FakeAsr] = field(default_factory=list)
    may_listen: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, a listener waits for it, as for a model that is loaded."""

    def __post_init__(self) -> None:
        self.may_listen.set()

    def vads(self) -> dict[str, object]:
        """Name the detectors."""
        return {"silero": object, "energy": object}

    async def open_tts(
        self, names: Sequence[str], options: speech.TtsOptions
    ) -> speech.Opened[speech.TtsStream]:
        """Open a speaker."""
        self.spoken.append(FakeTts(self.tts_error))
        return speech.Opened(self.spoken[-1], list(self.warnings), names[0])

    async def open_asr(
        self, names: Sequence[str], options: speech.AsrOptions
    ) -> speech.Opened[speech.AsrStream]:
        """Open a listener, once the test lets it."""
        await self.may_listen.wait()
        self.heard.append(FakeAsr())
        return speech.Opened(self.heard[-1], list(self.warnings), names[0])


class FakeStore:
    """Remembers what it was given."""

    async def probe(self):
        return self.healthy

    def __init__(self, root: Path) -> None:
        """Keep recordings below a folder."""
        self.root = root
        self.healthy = True
        self.ended: list[CallRecord] = []
        self.running: list[CallRecord] = []
        self.records = SimpleNamespace()
        """Queries; a test adds those that it needs."""
        self.kept: list[Recording] = []
        self.begun: list[Recording] = []
        self.audits: list[AuditRecord] = []
        self.parts: list[CallPart] = []

    def save_call(self, record: CallRecord) -> "asyncio.Future[bool]":
        """Remember a record, that of a call which goes on apart."""
        (self.ended if record.ended_at is not None else self.running).append(record)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        future.set_result(True)
        return future

    def save_part(self, part: CallPart) -> "asyncio.Future[bool]":
        """Remember a part of a call."""
        self.parts.append(part)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        future.set_result(True)
        return future

    async def new_recording(self, call_id: str, requested: str = "", container: str = "wav") -> NewRecording:
        """Name a file."""
        return NewRecording(f"{call_id}.{container}", self.root / f"{call_id}.{container}")

    def save_audit(self, record: AuditRecord) -> None:
        """Remember who did what."""
        self.audits.append(record)

    def begin_recording(self, recording: Recording) -> None:
        """Remember that a recording began."""
        self.begun.append(recording)

    def save_recording(self, recording: Recording) -> None:
        """Remember a recording."""
        self.kept.append(recording)


class FakeEndpoint:
    """Answers at once."""

    def __init__(
        self, request: LegRequest, report: Callable[[Report], None], tell: Callable[[m.Report], None]
    ) -> None:
        """Remember what it was made for; ``tell`` stands for the engine that closes the port."""
        self.request = request
        self.report = report
        self._tell = tell
        self.hung_up: list[str] = []

    def ring(self, early_media: bool = False) -> None:
        """Do nothing."""

    def answer(self) -> None:
        """Answer."""
        self.report(LegAnswered(self.request.leg))

    def offer(self, sdp: str) -> None:
        """Do nothing."""

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Do nothing."""

    def dtmf(self, digits: str) -> None:
        """Do nothing."""

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Remember."""
        self.hung_up.append(reason)
        self._tell(m.PortClosed(self.request.port, 1.0, {"packets_lost": 3.0}))

    async def closed(self) -> None:
        """Return at once."""


class FakeTelephone(FakeEndpoint):
    """A SIP leg that does what the test says; remembers every verb, in order."""

    def __init__(
        self, request: LegRequest, report: Callable[[Report], None], tell: Callable[[m.Report], None]
    ) -> None:
        """Remember what it was made for."""
        super().__init__(request, report, tell)
        self.did: list[Any] = []
        self.rejected = asyncio.Event()
        self.dialog = (f"call-{request.port}", f"ours-{request.port}", f"theirs-{request.port}")

    def says(self, kind: Callable[..., Report], *args: object, **more: object) -> None:
        """Report something of this leg."""
        self.report(kind(self.request.leg, *args, **more))

    def verbs(self) -> list[object]:
        """Return the names of the verbs, in order."""
        return [verb for verb, *_ in self.did]

    def ring(self, early_media: bool = False) -> None:
        """Remember."""
        self.did.append(("ring", early_media))

    def answer(self) -> None:
        """Remember: the test answers."""
        self.did.append(("answer",))

    def dtmf(self, digits: str) -> None:
        """Remember."""
        self.did.append(("dtmf", digits))

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Remember; the port closes."""
        self.did.append(("hangup", reason, headers or {}))
        super().hangup(reason, headers)

    def reject(self, code: int, reason: str) -> None:
        """Remember, and wake the test that waits for it."""
        self.did.append(("reject", code, reason))
        self.rejected.set()

    def refer(self, target: str, headers: dict[str, str] | None = None) -> None:
        """Remember."""
        self.did.append(("refer", target, headers or {}))

    def message(self, body: str, content_type: str) -> None:
        """Remember."""
        self.did.append(("message", body, content_type))

    def accept_transfer(self) -> None:
        """Remember."""
        self.did.append(("accept_transfer",))

    def transfer_progress(self, code: int, reason: str) -> None:
        """Remember."""
        self.did.append(("transfer_progress", code))


class FakeTelephones:
    """What dials: every leg is a fake telephone; some users are there."""

    def __init__(self, tell: Callable[[m.Report], None]) -> None:
        """Start without users."""
        self._tell = tell
        self.there: set[str] = set()
        self.legs: list[FakeTelephone] = []
        self.traces: dict[str, Callable[[], list[SipMessage]]] = {}

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Dial."""
        self.legs.append(FakeTelephone(request, report, self._tell))
        return self.legs[-1]

    def extension(self, callee: str) -> str:
        """Take 127.0.0.1 for an address of the switch."""
        user, at, host = callee.removeprefix("sip:").partition("@")
        return user if not at or host == "127.0.0.1" else ""

    def traced(self, call: str) -> list[SipMessage]:
        """Return no messages."""
        return []

    def end_trace(self, call: str) -> Callable[[], list[SipMessage]] | None:
        """Return the trace that a test has set."""
        return self.traces.pop(call, None)

    def registered(self, user: str) -> bool:
        """Say who is there."""
        return user in self.there

    def trunks(self) -> Sequence[object]:
        """Show a trunk."""
        return [{"name": "carrier", "state": "registered"}]

    def users(self) -> Sequence[object]:
        """Show the users."""
        return [{"name": name} for name in sorted(self.there)]


class Caller:
    """A caller: an incoming call, and the leg that is made of it."""

    def __init__(self, house: "House", callee: str = "100", **more: object) -> None:
        """Call; nothing has happened yet."""
        self.house = house
        self.rejected: list[tuple[int, str]] = []
        self.made: list[FakeTelephone] = []
        given: dict[str, object] = {
            "id": "dialog-1",
            "caller": "+491",
            "headers": {"X-Campaign": "7"},
            "sdp": "v=0",
            "source": "anonymous",
            "name": "",
            "address": "127.0.0.1",
        }
        given.update(more)
        self.call = IncomingCall(
            callee=callee,
            party=self.party,
            reject=lambda code, reason: self.rejected.append((code, reason)),
            **given,  # type: ignore[arg-type]
        )

    @property
    def leg(self) -> FakeTelephone:
        """The one leg there is."""
        return self.made[0]

    def party(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the leg, or take later wishes."""
        if self.made:
            self.leg.request, self.leg.report = request, report
        else:
            self.made.append(FakeTelephone(request, report, self.house.report))
        return self.leg


class House:
    """Everything together."""

    def __init__(self, folder: Path, settings: Settings | None = None, /, **limits: object) -> None:
        """Build it; ``settings`` say everything but where data goes and the limits."""
        self.engine = FakeEngine()
        self.providers = FakeProviders()
        self.store = FakeStore(folder)
        self.endpoints: list[FakeEndpoint] = []
        self.files: dict[bytes, list[bytes]] = {}
        self.resources = Resources(
            settings=msgspec.structs.replace(
                settings or Settings(),
                paths=Paths(data=str(folder)),
                limits=Limits(**limits),  # type: ignore[arg-type]
            ),
            engine=self.engine,
            routes=Routes(),
            providers=cast("Providers", self.providers),
            store=cast("Store", self.store),
            egress=EgressClient(()),
            metrics=Metrics("test"),
            open_audio=self._open_audio,
            dialers={"echo": self.endpoint},
        )
        self.telephones = FakeTelephones(self.report)
        self.resources.telephones = self.telephones
        self.switch = Switch(self.resources)
        self.calls = CallDirectory(self.switch)

    def endpoint(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make an endpoint that answers (an ``EndpointFactory``)."""
        self.endpoints.append(FakeEndpoint(request, report, self.report))
        return self.endpoints[-1]

    def report(self, *reports: m.Report) -> None:
        """Let the engine report."""
        self.resources.routes.deliver(m.Output(reports=list(reports)))

    async def _open_audio(
        self, body: bytes, rate: int, offset_ms: int, name: str, content_type: str
    ) -> AsyncIterator[bytes]:
        for piece in self.files[body]:
            yield piece


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)
