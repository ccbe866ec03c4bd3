"""What the call core asks of the floors around it, as Protocols; their outcome comes back as reports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import msgspec

from softswitch.call.reports import Report


class Candidate(msgspec.Struct, frozen=True):
    """One ICE candidate of the far end (RFC 8839), ``candidate:...`` without ``a=``; empty text means end."""

    text: str
    mid: str | None = None
    line: int | None = None


class SipOption(msgspec.Struct, frozen=True):
    """What a call says of itself to a SIP server: how to prove who we are, and further headers."""

    username: str = ""
    password: str = ""
    realm: str = ""
    contact: str = ""
    headers: dict[str, str] = {}


class LegRequest(msgspec.Struct, frozen=True):
    """What an endpoint needs to know to set a leg up."""

    call: str
    """Id of the call."""
    leg: str
    """Name of the leg within its call."""
    port: int
    """The leg's port in the engine, chosen by the switch."""
    mix: int
    """The mix of the leg's call."""
    offer: str = ""
    codec: str = ""
    """Preferred codec name, any case; empty: as negotiated."""
    sample_rate: int = 16000
    caller: str = ""
    callee: str = ""
    headers: dict[str, str] = {}
    handshake_s: float | None = None
    """How long the far end may take to be reached; None: as long as usual."""
    sip: SipOption = SipOption()
    trunk: str = ""
    """Trunk to dial over; empty: as the callee says, else the default one."""
    ring_s: float | None = None
    """How long the far end may ring; None: as long as usual."""
    bitrate: int = 0
    """Opus bit rate both ways, bit/s; 0: as usual."""


class Endpoint(Protocol):
    """The I/O object that carries a leg. Verbs return at once; what came of them is reported."""

    def ring(self, early_media: bool = False) -> None:
        """Alert the far end."""

    def answer(self) -> None:
        """Negotiate and open the port; :class:`LegAnswered` or :class:`LegFailed` follows."""

    def offer(self, sdp: str) -> None:
        """Take a later offer; :class:`LegUpdated` or :class:`LegWarned` follows."""

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Take trickled ICE candidates; a bad one is reported as :class:`LegWarned`."""

    def dtmf(self, digits: str) -> None:
        """Send digits to the far end."""

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the leg, its port and everything it holds; idempotent; reports nothing any more."""

    async def closed(self) -> None:
        """Return when everything the leg held is released."""


class EndpointFactory(Protocol):
    """Makes the endpoint of one kind of leg."""

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make an endpoint; ``report`` may be called from the event loop only."""


Source = Literal["trunk", "user", "anonymous"]


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """Somebody calls: what an endpoint tells before anything was decided."""

    id: str
    """Dialog id that fits the rule for ids: the Call-ID where it does, else a new one."""
    caller: str
    """User part or number of who calls."""
    callee: str
    """User part or number that was dialled."""
    headers: dict[str, str]
    """Headers of the INVITE, by the names they came with."""
    sdp: str
    """The offer; empty where the caller wants ours."""
    source: Source
    name: str
    """Name of the trunk or user; empty for an anonymous caller."""
    address: str
    """Address it came from."""
    party: EndpointFactory
    """Makes the endpoint when the call becomes pending; asked again at ``accept`` with the wishes of the
    option, it returns the same endpoint."""
    reject: Callable[[int, str], None]
    """Answers with a code and reason as long as no endpoint was asked for; a no-op afterwards."""


OnIncoming = Callable[[IncomingCall], None]


@runtime_checkable
class Telephone(Endpoint, Protocol):
    """What a SIP leg can do beyond any other endpoint."""

    @property
    def dialog(self) -> tuple[str, str, str]:
        """Call-ID, local tag and remote tag, for ``Replaces`` (RFC 3891); empty before there is one."""

    def reject(self, code: int, reason: str) -> None:
        """Refuse an incoming call for good; reports nothing any more."""

    def refer(self, target: str, headers: dict[str, str] | None = None) -> None:
        """Ask the far end to call somebody else (RFC 3515); :class:`LegReferred` follows.

        A header ``Replaces`` of an attended transfer is part of ``target``.
        """

    def message(self, body: str, content_type: str) -> None:
        """Send a text; where the far end refuses it, :class:`LegWarned` follows."""

    def accept_transfer(self) -> None:
        """Answer the far end's REFER with 202 and a first NOTIFY."""

    def transfer_progress(self, code: int, reason: str) -> None:
        """Tell the far end how its transfer goes; a final code ends it.

        A final code of 300 or more without :meth:`accept_transfer` refuses the REFER itself.
        """


# --- streams --------------------------------------------------------------------------

StreamChannel = Literal["inbound", "outbound", "both"]
StreamTrack = Literal["inbound", "outbound"]
StreamExtra = Literal["start", "dtmf", "mark_status", "hangup"]


class StreamRequest(msgspec.Struct, frozen=True):
    """What a stream to an outside service is to be."""

    call: str
    """Id of the call."""
    stream: str
    """Id of the stream."""
    url: str
    """Where the service is: ws or wss, dialled as it stands."""
    two_way: bool
    """Whether the service may speak."""
    channel: StreamChannel
    """What was asked for; a service that may speak hears the inbound track alone."""
    headers: dict[str, str] = {}
    """Further headers of the handshake."""
    reconnect_s: float = 0.0
    """How long a broken connection is tried again; 0: not at all."""
    extras: tuple[StreamExtra, ...] = ()
    """What is told and taken besides the plain protocol."""
    caller: str = ""
    callee: str = ""
    incoming: bool = False
    """Whether somebody called us."""
    tag: str = ""

    @property
    def tracks(self) -> tuple[StreamTrack, ...]:
        """Which audio the service hears."""
        if self.two_way:
            return ("inbound",)
        return ("inbound", "outbound") if self.channel == "both" else (self.channel,)


@dataclass(frozen=True, slots=True)
class StreamOver:
    """How a stream came to its end."""

    status: Literal["stopped", "closed", "lost", "failed"]
    """stopped: by us; closed: by the service; lost: the connection broke; failed: it never was."""
    reason: str = ""


class StreamEar(Protocol):
    """What a stream tells whoever opened it; methods return at once."""

    def opened(self) -> None:
        """The service is connected (again) and may be given audio."""

    def audio(self, pcm: bytes) -> None:
        """The service speaks: PCM16 at 24 kHz, of any length, behind what it has said."""

    def mark(self, name: str) -> None:
        """The service wants to know when everything it has said was heard."""

    def clear(self) -> None:
        """The service takes back what was not heard yet."""

    def hang_up(self) -> None:
        """The service ends the call."""


class OutsideStream(Protocol):
    """A stream to an outside service; all methods but :meth:`run` return at once."""

    async def run(self) -> StreamOver:
        """Dial, and serve until the end."""

    def frame(self, track: StreamTrack, pcm: bytes) -> None:
        """Give the service 20 ms of a track: 960 bytes, PCM16 at 24 kHz."""

    def passed(self, name: str, cleared: bool) -> None:
        """Tell the service that a mark was heard, or cleared."""

    def digit(self, digit: str) -> None:
        """Tell the service that the party pressed a key."""

    def stop(self) -> None:
        """End the stream: :meth:`run` returns soon."""


StreamFactory = Callable[[StreamRequest, StreamEar], OutsideStream]
