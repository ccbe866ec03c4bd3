"""Interfaces that legs and streams implement for the call model; outcomes come back as reports."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import msgspec

from softswitch.call.vocabulary.reports import Report
from softswitch.call.vocabulary.stream_words import FromService, ToService
from softswitch.call.vocabulary.values import Candidate, SipOption, StreamChannel, StreamExtra, StreamTrack


class LegRequest(msgspec.Struct, frozen=True):
    """Parameters of a new leg."""

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
    trickle: bool = False
    """Whether the client takes ICE candidates that are found after the answer."""
    sample_rate: int = 16000
    live: bool | None = None
    """Whether the audio of a socket arrives in real time; None: judged by its arrival."""
    caller: str = ""
    callee: str = ""
    headers: dict[str, str] = {}
    handshake_s: float | None = None
    """Longest time to reach the peer, seconds; None: the default of the leg."""
    sip: SipOption = SipOption()
    trunk: str = ""
    """Trunk to dial over; empty: the trunk of the callee, else the default one."""
    ring_s: float | None = None
    """Longest ringing, seconds; None: the default of the leg."""
    bitrate: int = 0
    """Opus bit rate both ways, bit/s; 0: the default."""
    account: str = ""
    """Account of the call; empty where keys are off."""
    is_internal: bool = False
    """The call came from another node of this switch, and goes to no third one."""
    may_return: bool = False
    """Whether the client may come back after it was lost, and with it its peer connection."""
    early_media: bool = True
    """Whether the callee is heard before its answer."""


class Endpoint(Protocol):
    """I/O object of one leg. Methods return at once; their outcome is reported.

    It may have two attributes more: ``path``, the local and remote end of its media in words, and ``trunk``,
    the name of the trunk that it was dialled over; both are "" while unknown.
    """

    def ring(self, early_media: bool = False) -> None:
        """Alert the peer."""

    def answer(self) -> None:
        """Negotiate and open the port; :class:`LegAnswered` or :class:`LegFailed` follows."""

    def offer(self, sdp: str) -> None:
        """Answer a later offer; :class:`LegUpdated` or :class:`LegWarned` follows."""

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Add trickled ICE candidates; a bad one is reported as :class:`LegWarned`."""

    def dtmf(self, digits: str) -> None:
        """Send digits to the peer."""

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the leg and release its port; idempotent. No report follows."""

    async def closed(self) -> None:
        """Wait until the leg has released everything."""


class EndpointFactory(Protocol):
    """Factory of the endpoints of one kind of leg."""

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make an endpoint; ``report`` may be called from the event loop only."""


Source = Literal["trunk", "user", "anonymous"]


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """An incoming call, as its endpoint announces it before any decision."""

    id: str
    """Dialog id that fits the rule for ids: the Call-ID where it does, else a new one."""
    caller: str
    """User part or number of the caller."""
    callee: str
    """User part or number that was dialled."""
    headers: dict[str, str]
    """Headers of the INVITE, by the names they came with."""
    sdp: str
    """The offer; empty if the caller expects the offer of the switch."""
    source: Source
    name: str
    """Name of the trunk or user; empty for an anonymous caller."""
    address: str
    """Address it came from."""
    party: EndpointFactory
    """Makes the endpoint when the call becomes pending. Called again at ``accept`` with the final options, it
    returns the same endpoint."""
    reject: Callable[[int, str], None]
    """Answers with a code and reason before an endpoint was made; does nothing afterwards."""


OnIncoming = Callable[[IncomingCall], None]


@runtime_checkable
class Telephone(Endpoint, Protocol):
    """Endpoint of a SIP leg."""

    @property
    def dialog(self) -> tuple[str, str, str]:
        """Call-ID, local tag and remote tag, for ``Replaces`` (RFC 3891); empty before there is one."""

    def reject(self, code: int, reason: str) -> None:
        """Refuse an incoming call. No report follows."""

    def refer(self, target: str, headers: dict[str, str] | None = None) -> None:
        """Ask the peer to call another party (RFC 3515); :class:`LegReferred` follows.

        A header ``Replaces`` of an attended transfer is part of ``target``.
        """

    def message(self, body: str, content_type: str) -> None:
        """Send a text; if the peer refuses it, :class:`LegWarned` follows."""

    def accept_transfer(self) -> None:
        """Answer the peer's REFER with 202 and a first NOTIFY."""

    def transfer_progress(self, code: int, reason: str) -> None:
        """Report the progress of its transfer to the peer; a final code ends it.

        A final code of 300 or more without :meth:`accept_transfer` refuses the REFER itself.
        """


# --- streams --------------------------------------------------------------------------

PlaybackStatus = Literal["started", "drained", "cleared"]
"""What happened to the audio of a service: it began to sound, it ran out, it was dropped on request."""


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
    live: bool = False
    """The service speaks in real time, and never ahead."""
    buffer_ms: int = 120_000
    """Audio that the service may be ahead, milliseconds; audio beyond it is refused."""
    caller: str = ""
    callee: str = ""
    incoming: bool = False
    """Whether the party called, and was not called."""
    tag: str = ""
    account: str = ""
    """Account of the call; empty where keys are off."""
    protocol: str = "wavix"
    """Name of the dialect that the service speaks."""
    encoding: str = ""
    """Encoding of the audio, as the dialect names it; empty: its default."""
    sample_rate: int = 0
    """Sample rate of the audio, Hz; 0: the default of the dialect."""
    parameters: dict[str, str] = {}
    """Named values for the service, which a dialect carries in its first messages."""
    session: dict[str, object] = {}
    """Settings of the session in the words of a speech-to-speech service, over those of the operator."""

    @property
    def tracks(self) -> tuple[StreamTrack, ...]:
        """Which audio the service hears."""
        if self.two_way:
            return ("inbound",)
        return ("inbound", "outbound") if self.channel == "both" else (self.channel,)


@dataclass(frozen=True, slots=True)
class StreamOver:
    """End of a stream."""

    status: Literal["stopped", "closed", "lost", "failed"]
    """stopped: by the switch; closed: by the service; lost: the connection broke; failed: it never opened."""
    reason: str = ""


class StreamEar(Protocol):
    """Receiver of a stream's audio and requests; methods return at once."""

    def opened(self) -> None:
        """The service is connected (again) and may be given audio."""

    def audio(self, pcm: bytes, sample_rate: int) -> None:
        """The service speaks: PCM16 of a rate in Hz, of any length, behind what it has said."""

    def mark(self, name: str) -> None:
        """The service wants to know when everything it has said was heard."""

    def clear(self) -> None:
        """The service takes back what was not heard yet."""

    def hang_up(self, *, drain: bool = False) -> None:
        """The service ends the call."""

    def told(self, word: FromService) -> None:
        """The service tells what was understood or heard, or calls a tool."""


class Numbers(Protocol):
    """Numbers of the messages of a stream, which the media engine may take, too."""

    number: int
    """Of the last message."""
    chunk: int
    """Of the last media message."""

    def claim(self) -> None:
        """Keep the engine from taking the next number: it is about to be used here."""


class StreamSocket(Numbers, Protocol):
    """Serves the socket of a stream within the media engine."""

    @property
    def sent(self) -> int:
        """Media messages that the engine sent."""

    def tap(self, number: int, words: bytes, step: int) -> "StreamFrames":
        """Let the engine send the frames of a tap.

        Args:
            number: Id of the tap.
            words: Text of a media message, with places for its values.
            step: Time of a frame in the unit of the stream's times.
        """


class StreamFrames(Protocol):
    """Counts the frames of a tap that the media engine sends."""

    @property
    def frames(self) -> int:
        """Frames that were sent there or came here."""

    def handled(self) -> None:
        """Note that a frame came here."""


class OutsideStream(Protocol):
    """A stream to an outside service; all methods but :meth:`run` return at once."""

    @property
    def sample_rate(self) -> int:
        """Return the rate of the audio that :meth:`frame` takes, Hz."""

    @property
    def encoding(self) -> Literal["pcm16", "pcmu", "pcma"]:
        """Return the encoding of the audio that :meth:`frame` takes."""

    @property
    def frame_ms(self) -> int:
        """Return the duration of the audio that :meth:`frame` takes, milliseconds."""

    @property
    def follows_speech(self) -> bool:
        """Return whether the service needs to be told when the party speaks."""

    async def run(self) -> StreamOver:
        """Dial, and serve until the end."""

    def frame(self, track: StreamTrack, audio: bytes) -> None:
        """Send the service ``frame_ms`` of a track in ``encoding`` at ``sample_rate``."""

    def media_words(self, track: StreamTrack) -> tuple[bytes, int] | None:
        """Return what :meth:`StreamSocket.tap` needs; None where the engine cannot write such messages."""

    def share(self, socket: StreamSocket, frames: Mapping[StreamTrack, StreamFrames]) -> None:
        """Leave audio to the media engine where that is possible, on this connection and on later ones."""

    def look(self) -> None:
        """See to what the engine has left of it."""

    def passed(self, name: str, cleared: bool) -> None:
        """Tell the service that a mark was heard, or cleared."""

    def playback(self, status: PlaybackStatus, played_ms: int | None = None) -> None:
        """Tell the service what happened to its audio; `played_ms` of it was heard before it was cleared."""

    def tell(self, word: ToService) -> None:
        """Tell the service of a key, of speech of the party, or of the result of a tool call."""

    def stop(self) -> None:
        """End the stream: :meth:`run` returns soon."""


StreamFactory = Callable[[StreamRequest, StreamEar], OutsideStream]
