"""What the engine is told, and what it tells: plain values only, so that they can cross a process boundary.

Ids (``port``, ``track``, ``tap``, ``recorder``, ``mix``) are positive integers chosen by the caller, unique
among all five kinds for the life of the process. Times named ``at`` are monotonic seconds. Audio is mono.
"""

from typing import Literal

import msgspec

from softswitch.media.reports import (
    DigitReceived,
    DigitsSent,
    MarkReached,
    MediaResumed,
    MediaSilent,
    Output,
    PortClosed,
    PortFailed,
    RecorderClosed,
    Report,
    SpeechStarted,
    SpeechStopped,
    TrackDrained,
    TrackDropped,
    TrackEnded,
    TrackLow,
    TrackStarted,
)

__all__ = [
    "AddFeedPort",
    "AddRtpPort",
    "AddTap",
    "AddTrack",
    "ClearTrack",
    "ConnectPlain",
    "ConnectSecure",
    "DigitReceived",
    "DigitsSent",
    "DropTrack",
    "EndTrack",
    "FeedTrack",
    "JoinMix",
    "MarkReached",
    "MediaResumed",
    "MediaSilent",
    "Message",
    "Output",
    "PayloadFormat",
    "PlaceMark",
    "PortClosed",
    "PortFailed",
    "RecorderClosed",
    "RemovePort",
    "RemoveTap",
    "Report",
    "RtpParameters",
    "SendDigits",
    "SetDenoise",
    "SetDirection",
    "SetHeld",
    "SetInbandDtmf",
    "SetMuted",
    "SetTrack",
    "SetVad",
    "SpeechStarted",
    "SpeechStopped",
    "StartRecorder",
    "StopRecorder",
    "TrackDrained",
    "TrackDropped",
    "TrackEnded",
    "TrackLow",
    "TrackStarted",
    "UpdateRtp",
]


class Message(msgspec.Struct, frozen=True, tag=True):
    """Base of everything that is posted to the engine."""


class PayloadFormat(msgspec.Struct, frozen=True):
    """One payload format of a negotiated RTP stream (RFC 3551, RFC 8866 a=rtpmap)."""

    name: str
    """Encoding name as in SDP: PCMU, PCMA, G722, opus, telephone-event."""
    payload_type: int
    """0-127."""
    clock_rate: int
    """RTP clock in Hz (8000 for G722, 48000 for opus)."""
    fmtp: str = ""
    """Format parameters of the other side, as in a=fmtp."""


class RtpParameters(msgspec.Struct, frozen=True):
    """What was negotiated for one RTP stream in both directions."""

    receive: tuple[PayloadFormat, ...]
    """Formats that may arrive, telephone-event among them."""
    send: PayloadFormat
    """The format that is sent."""
    send_events: PayloadFormat | None = None
    """telephone-event format to send digits with; None sends them in-band."""
    ssrc: int = 0
    """Own SSRC, 32 bit, random, chosen by the caller."""
    sequence: int = 0
    """First sequence number, 16 bit, random."""
    timestamp: int = 0
    """First timestamp, 32 bit, random."""
    cname: str = ""
    """RTCP CNAME (RFC 3550 §6.5.1)."""
    ptime_ms: int = 20
    """Length of the packets that are sent: 10-60 ms."""
    bitrate: int = 32000
    """Opus only, bit/s."""
    level_extension: int = 0
    """Id of the audio level header extension (RFC 6464) to send; 0 sends none."""


class AddRtpPort(Message, frozen=True):
    """Open a port whose audio arrives and leaves as RTP; packets flow once it is connected."""

    port: int
    mix: int
    """The mix of the port's own call: it speaks there and hears that call's tracks."""
    rtp: RtpParameters


class UpdateRtp(Message, frozen=True):
    """Change what was negotiated (re-offer) without losing the port's place."""

    port: int
    rtp: RtpParameters


class ConnectPlain(Message, frozen=True):
    """Give an RTP port its UDP socket: the tick drains it and sends on it (plain or SDES media)."""

    port: int
    fd: int
    """A datagram socket; the engine owns it from here and closes it. -1: there is none, plain datagrams come
    by :meth:`Engine.deliver` and leave in ``Output.datagrams``."""
    remote_host: str
    remote_port: int
    receive_key: bytes = b""
    """SRTP master key and salt for what arrives; empty: no SRTP."""
    send_key: bytes = b""
    profile: str = ""
    """SRTP protection profile as pylibsrtp names it: AES128_CM_SHA1_80, AEAD_AES_128_GCM, ..."""
    rtcp_fd: int = -1
    """A second socket for RTCP, owned by the engine from here too: the far end does not multiplex (RFC 5761).
    -1: RTCP goes with the RTP."""
    rtcp_remote_port: int = 0
    """Where RTCP is sent; 0: one above `remote_port` (RFC 3550 §11)."""


class ConnectSecure(Message, frozen=True):
    """Key an RTP port whose encrypted datagrams come through :meth:`Engine.deliver` (WebRTC)."""

    port: int
    receive_key: bytes
    send_key: bytes
    profile: str
    fd: int = -1
    """A duplicate of the nominated pair's socket to send on, owned by the engine from here;
    -1: what is to be sent is handed out in ``Output.datagrams`` (relayed pairs)."""
    remote_host: str = ""
    remote_port: int = 0
    rtcp_receive_key: bytes = b""
    """Of RTCP, where it has a DTLS association of its own (RFC 5764 section 3); empty: that of RTP. Such RTCP
    leaves in ``Output.datagrams``."""
    rtcp_send_key: bytes = b""


class AddFeedPort(Message, frozen=True):
    """Open a port whose audio comes by :meth:`Engine.feed` and leaves in ``Output.frames`` (WebSocket)."""

    port: int
    mix: int
    codec: Literal["pcm", "pcmu", "pcma", "g722"] = "pcm"
    sample_rate: int = 16000
    """Of pcm: 8000, 16000, 24000 or 48000 Hz; ignored for the others."""
    buffer_ms: int = 60000
    """Audio that may wait; what comes beyond it is dropped and counted."""
    prebuffer_ms: int = 40
    """Audio that must have come before a talk spurt is played; an underrun primes again."""
    listens: bool = True
    """False: nothing is handed out (a source only)."""
    speaks: bool = True
    """False: nothing is mixed in (a listener only)."""


class RemovePort(Message, frozen=True):
    """Close a port; :class:`PortClosed` follows with its statistics."""

    port: int


class JoinMix(Message, frozen=True):
    """Move a port's conversation to another mix (bridge, room) or back; tracks stay with their call."""

    port: int
    mix: int


class SetMuted(Message, frozen=True):
    """Silence what a port says (it still hears)."""

    port: int
    muted: bool


class SetHeld(Message, frozen=True):
    """Mark a port as on hold: no media is not a fault then."""

    port: int
    held: bool


class SetDirection(Message, frozen=True):
    """Say which way the media of an RTP port may flow (RFC 3264 §8.4); RTCP flows in any case."""

    port: int
    sends: bool = True
    """False: no packet of audio and no digit goes out (we answered recvonly or inactive)."""
    receives: bool = True
    """False: what arrives is not heard, and no media is not a fault (sendonly or inactive)."""


class SetVad(Message, frozen=True):
    """Switch voice activity detection of a port on, or off with an empty ``kind``."""

    port: int
    kind: str = ""
    """Name of a bank the engine was built with: silero, webrtc, energy, or a plug-in's."""
    threshold: float = 0.5
    start_ms: int = 200
    """Speech that must have lasted before it is reported."""
    stop_ms: int = 300
    """Silence that must have lasted before it is reported."""


class SetDenoise(Message, frozen=True):
    """Switch noise suppression of what a port says on or off."""

    port: int
    on: bool


class SetInbandDtmf(Message, frozen=True):
    """Listen for dialling tones in a port's audio."""

    port: int
    on: bool


class SendDigits(Message, frozen=True):
    """Send dialling digits to a port's far end: RFC 4733 where negotiated, tones elsewhere."""

    port: int
    digits: str
    duration_ms: int = 100
    gap_ms: int = 70


class AddTrack(Message, frozen=True):
    """Open a one-way source in a mix: a FIFO of audio and marks."""

    track: int
    mix: int
    gain: float = 1.0
    duck_to: float | None = None
    """Gain while any other undamped track of the mix sounds (a bed under speech); None never ducks."""
    low_ms: int = 0
    """Report :class:`TrackLow` when less than this waits; 0 never."""
    capacity_ms: int = 600000
    """Audio that may wait; what is fed beyond is refused and counted."""
    prebuffer_ms: int = 0
    """For a live source: audio that must have come before any sounds; running out primes again."""


class FeedTrack(Message, frozen=True):
    """Append audio to a track."""

    track: int
    sample_rate: int
    """Any of 8000-48000 Hz; constant between two drops."""
    pcm: bytes
    """PCM16 little endian; an odd last byte is carried to the next."""
    boundary: bool = False
    """A sentence ends with this audio: a graceful drop may stop here."""


class PlaceMark(Message, frozen=True):
    """Put a mark behind what waits in a track; reported when everything before it was sent."""

    track: int
    name: str


class EndTrack(Message, frozen=True):
    """Nothing more comes: the track ends and is freed once drained (:class:`TrackEnded`)."""

    track: int


class DropTrack(Message, frozen=True):
    """Throw away what waits, end the track (:class:`TrackDropped`, after the cleared marks)."""

    track: int
    fade_ms: int = 10
    """Fade-out of what sounds now, 0-2000 ms."""
    at_boundary: bool = False
    """Finish the sentence that sounds now first."""


class ClearTrack(Message, frozen=True):
    """Throw away what waits and return its marks, but keep the track open (a stream's ``clear``)."""

    track: int


class SetTrack(Message, frozen=True):
    """Change a track while it plays; absent fields stay."""

    track: int
    paused: bool | None = None
    gain: float | None = None
    ramp_ms: int = 20


class AddTap(Message, frozen=True):
    """Copy a port's audio out in ``Output.frames`` under the tap's id."""

    tap: int
    port: int
    direction: Literal["inbound", "outbound"] = "inbound"
    """inbound: what the port says; outbound: what it hears."""
    sample_rate: int = 16000
    """8000, 16000, 24000 or 48000 Hz, PCM16 little endian."""
    packet_bytes: int = 0
    """Exact size of each frame handed out; 0: one per tick."""


class RemoveTap(Message, frozen=True):
    """Stop a tap."""

    tap: int


class StartRecorder(Message, frozen=True):
    """Record a port in stereo: what it says left, what it hears right."""

    recorder: int
    port: int
    path: str
    sample_rate: int = 16000
    container: Literal["wav", "opus"] = "wav"
    max_bytes: int = 0
    """Stop (and report) beyond this size; 0 is unbounded."""
    hears: bool = False
    """True: what it hears on both sides (of a port that says nothing: a whole room)."""


class StopRecorder(Message, frozen=True):
    """Close a recording; :class:`RecorderClosed` follows."""

    recorder: int
