"""What all calls share, handed to each of them by the composition root."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from softswitch.call.needs import Endpoint, EndpointFactory, LegRequest, StreamFactory
from softswitch.call.reports import Report
from softswitch.egress.http import Door
from softswitch.media.messages import Message
from softswitch.metrics import Metrics
from softswitch.settings import Settings
from softswitch.speech.provider import Providers
from softswitch.store.store import Store
from softswitch.switch.loops import Loops
from softswitch.switch.routes import Routes

LOCAL = ("echo", "tone", "room", "stream")
"""What a callee may begin with that is nobody's number."""


class Telephones(Protocol):
    """What speaks SIP, seen from here."""

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the endpoint that dials a number, a user or a URI (an ``EndpointFactory``)."""

    def extension(self, callee: str) -> str:
        """Return the number or name that a callee is here; "" where it is a URI of somebody else's."""

    def registered(self, user: str) -> bool:
        """Whether a user has a device that can be rung now."""

    def trunks(self) -> Sequence[object]:
        """Return the state of each trunk, as something that JSON can show."""

    def users(self) -> Sequence[object]:
        """Return the registrations of each user, as something that JSON can show."""


class Media(Protocol):
    """The part of the engine that signalling uses."""

    def post(self, message: Message) -> None:
        """Tell the engine something."""

    def feed(self, port: int, data: bytes) -> None:
        """Give a feed port audio."""


OpenAudio = Callable[[bytes, int, int, str, str], AsyncIterator[bytes]]
"""Decode a file: bytes, the rate wanted in Hz, the offset in ms, name and content type ("" where unknown).

Yields PCM16 mono in pieces of about a second; raises a PeerError where the bytes are no audio.
"""


@dataclass(slots=True)
class Resources:
    """Everything a conversation needs and does not own."""

    settings: Settings
    engine: Media
    routes: Routes
    providers: Providers
    store: Store
    door: Door
    metrics: Metrics
    open_audio: OpenAudio
    dialers: Mapping[str, EndpointFactory]
    """Endpoints for second legs, by what a callee begins with: echo, tone, ..."""
    telephones: Telephones | None = None
    """SIP, where it is switched on; everything that is not local is dialled by it."""
    streams: StreamFactory | None = None
    """Dials services that calls are streamed to."""
    loops: Loops = field(default_factory=Loops)
    recognitions: int = 0
    """Legs whose speech is being recognised now."""
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    """Ids of ports, tracks, taps, recorders and mixes in the engine."""

    def dial(self, callee: str) -> EndpointFactory | None:
        """Return what dials a callee, or None where nobody here can."""
        kind = callee.partition(":")[0]
        if kind in LOCAL or kind in self.dialers:
            return self.dialers.get(kind)
        return self.telephones if callee else None

    @property
    def sounds(self) -> Path:
        """The folder of sounds an operator provides (ambiance)."""
        return self.settings.paths.root() / "sounds"
