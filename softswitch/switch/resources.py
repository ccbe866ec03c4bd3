"""The parts that all calls share; the composition root makes them."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from softswitch.call.authority import Principal
from softswitch.call.interfaces import Endpoint, EndpointFactory, LegRequest, StreamFactory, StreamSocket
from softswitch.call.vocabulary.reports import Report
from softswitch.callees import known
from softswitch.egress.http import EgressClient
from softswitch.legs.websocket.shared_transport import FeedSocket
from softswitch.media.messages import Message
from softswitch.metrics import Metrics
from softswitch.settings import Settings
from softswitch.sip.trace import SipMessage
from softswitch.speech.provider import Providers
from softswitch.store.store import Store
from softswitch.switch.loops import Loops
from softswitch.switch.memory import Memory
from softswitch.switch.pressure import Pressure
from softswitch.switch.rendered_sounds import RenderedSounds
from softswitch.switch.routes import Routes
from softswitch.switch.shared_files import SharedFiles
from softswitch.switch.trunk_quality import TrunkQualities


class Telephones(Protocol):
    """The SIP side, as far as calls use it."""

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the endpoint that dials a number, a user or a URI (an ``EndpointFactory``)."""

    def extension(self, callee: str) -> str:
        """Return the number or name of a callee of this switch; empty for the URI of another host."""

    def traced(self, call: str) -> list[SipMessage]:
        """Return the SIP messages of a live call so far."""

    def end_trace(self, call: str) -> Callable[[], list[SipMessage]] | None:
        """End the trace of a call; the result takes its messages, once the last ones have come."""

    def registered(self, user: str) -> bool:
        """Tell whether a user has a device that can be rung now."""

    def trunks(self) -> Sequence[object]:
        """Return the state of each trunk, as values that can be written as JSON."""

    def users(self) -> Sequence[object]:
        """Return the registrations of each user, as values that can be written as JSON."""


class Media(Protocol):
    """The part of the engine that signalling uses."""

    def post(self, message: Message) -> None:
        """Send the engine a message."""

    def feed(self, port: int, data: bytes) -> None:
        """Send a feed port PCM16 at its own rate."""

    def feed_socket(self, port: int) -> FeedSocket | None:
        """Return the queue of a feed port that can serve a WebSocket by itself; None if it cannot."""

    def open_stream(self, number: int, stream: str, capacity_ms: int) -> StreamSocket | None:
        """Return what serves a stream's WebSocket within the engine; None if it cannot.

        Args:
            number: Id of the track that is posted next, or an id of its own.
            stream: Id that messages of the service may have.
            capacity_ms: Longest queue of the track.
        """


OpenAudio = Callable[[bytes, int, int, str, str], AsyncIterator[bytes]]
"""Decodes a file: its bytes, the wanted rate in Hz, the offset in ms, name and content type (empty: unknown).

It yields PCM16 mono in pieces of about a second, and raises a PeerError where the bytes are not audio.
"""


@dataclass(slots=True)
class Resources:
    """The parts that every call uses and none owns."""

    settings: Settings
    engine: Media
    routes: Routes
    providers: Providers
    store: Store
    egress: EgressClient
    metrics: Metrics
    open_audio: OpenAudio
    dialers: Mapping[str, EndpointFactory]
    """Factories of local callees by their kind: echo, tone, room."""
    telephones: Telephones | None = None
    """The SIP side, which dials every callee that is not local; None where SIP is switched off."""
    streams: StreamFactory | None = None
    """Connects the services that calls are streamed to."""
    refuse_callee: Callable[[str, Principal], tuple[int, str] | None] = lambda callee, by: None
    """Returns code and reason where a callee in this switch (a room) is not there for a client."""
    pressure: Pressure = field(default_factory=lambda: Pressure({}))
    """Measures how late the process is, and admits new calls."""
    loops: Loops = field(default_factory=Loops)
    waiting_sounds: RenderedSounds = field(default_factory=RenderedSounds)
    """Music on hold and ringback."""
    memory: Memory = field(default_factory=Memory)
    """Bytes that calls hold, and their bounds."""
    trunks: TrunkQualities = field(init=False)
    """Quality of the calls of each trunk."""
    files: SharedFiles = field(init=False)
    """Files being played."""
    administrators: frozenset[str] = frozenset()
    """Accounts with a key of scope `admin`: they get messages about calls of the administrator, too."""
    calls_per_account: Mapping[str, int] = field(default_factory=dict)
    """Most calls at once of the accounts whose keys say it, in place of `[limits] calls_per_key`."""
    recognitions: int = 0
    """Number of legs whose speech is being recognised."""
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    """Ids of ports, tracks, taps, recorders and mixes in the engine."""

    def __post_init__(self) -> None:
        """Create what counts its bytes in `memory`, and what counts in `metrics`."""
        self.trunks = TrunkQualities(self.metrics)
        self.files = SharedFiles(self.memory)

    def dial(self, callee: str) -> EndpointFactory | None:
        """Return the factory of endpoints for a callee, or None where this switch has none."""
        entry = known(callee)
        if entry is not None and entry.reach != "telephone":
            return self.dialers.get(entry.name)
        return self.telephones if callee else None

    @property
    def sounds(self) -> Path:
        """Return the folder with the sounds of the operator (ambiance)."""
        return self.settings.paths.root() / "sounds"
