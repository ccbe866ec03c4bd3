"""Messages posted to the engine, plain values that could cross a process boundary; re-exports the reports.

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
    PortQuality,
    PortReport,
    RecorderClosed,
    Report,
    SpeechStarted,
    SpeechStopped,
    TrackCleared,
    TrackDrained,
    TrackDropped,
    TrackEnded,
    TrackFull,
    TrackLow,
    TrackReport,
    TrackStarted,
)
from softswitch.signals import (
    DropTrack,
    EndTrack,
    Message,
    PlaceMark,
    SetDenoise,
    SetEchoControl,
    SetGainControl,
    SetInbandDtmf,
    SetMuted,
    SetTrack,
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
    "Direction",
    "DropTrack",
    "EndTrack",
    "FeedTrack",
    "JoinMix",
    "MarkReached",
    "MediaResumed",
    "MediaSilent",
    "Message",
    "Output",
    "PauseRecorder",
    "PayloadFormat",
    "PlaceMark",
    "PortClosed",
    "PortFailed",
    "PortQuality",
    "PortReport",
    "ReadStream",
    "RecorderClosed",
    "RemovePort",
    "RemoveTap",
    "Report",
    "RtpParameters",
    "SendDigits",
    "SetDenoise",
    "SetDirection",
    "SetEchoControl",
    "SetGainControl",
    "SetHeld",
    "SetInbandDtmf",
    "SetMuted",
    "SetTrack",
    "SetVad",
    "SpeechStarted",
    "SpeechStopped",
    "StartRecorder",
    "StopRecorder",
    "TrackCleared",
    "TrackDrained",
    "TrackDropped",
    "TrackEnded",
    "TrackFull",
    "TrackLow",
    "TrackReport",
    "TrackStarted",
    "UpdateRtp",
]


Direction = Literal["inbound", "outbound"]
"""inbound: audio from a port; outbound: audio to it."""


class PayloadFormat(msgspec.Struct, frozen=True):
    """One payload format of a negotiated RTP stream (RFC 3551, RFC 8866 a=rtpmap)."""

    name: str
    """Encoding name as in SDP: PCMU, PCMA, G722, opus, telephone-event."""
    payload_type: int
    """0-127."""
    clock_rate: int
    """RTP clock in Hz (8000 for G722, 48000 for opus)."""
    fmtp: str = ""
    """Format parameters of the remote party, as in a=fmtp."""


class RtpParameters(msgspec.Struct, frozen=True):
    """Result of the offer/answer for one RTP stream, both directions."""

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
    bitrate: int = 0
    """Opus only, bit/s; 0: the default of the RTP plane."""
    most_bitrate: int = 0
    """Opus only: the highest that the remote party wants to receive, bit/s; 0: any."""
    level_extension: int = 0
    """Id of the audio level header extension (RFC 6464) to send; 0 sends none."""
    reserve_ms: int = 18
    """Least delay of the jitter buffer above that of the fastest packet, 0-200 ms."""


class AddRtpPort(Message, frozen=True):
    """Open a port whose audio arrives and leaves as RTP; packets flow once it is connected."""

    port: int
    mix: int
    """Mix of the port's own call: the port speaks there and hears that call's tracks."""
    rtp: RtpParameters


class UpdateRtp(Message, frozen=True):
    """Apply a new offer/answer to a port that is open; sequence numbers, buffers and counts continue."""

    port: int
    rtp: RtpParameters


class ConnectPlain(Message, frozen=True):
    """Give an RTP port its UDP socket: the tick drains it and sends on it (plain or SDES media)."""

    port: int
    fd: int
    """A datagram socket, owned and closed by the engine from here on. -1: no socket; plain datagrams come
    by :meth:`Engine.deliver` and leave in ``Output.datagrams``."""
    remote_host: str
    remote_port: int
    receive_key: bytes = b""
    """SRTP master key and salt of received packets; empty: no SRTP."""
    send_key: bytes = b""
    profile: str = ""
    """SRTP protection profile as pylibsrtp names it: AES128_CM_SHA1_80, AEAD_AES_128_GCM, ..."""
    rtcp_fd: int = -1
    """A second socket for RTCP, owned by the engine from here too, for a remote party that does not multiplex
    (RFC 5761). -1: RTCP shares the socket of RTP."""
    rtcp_remote_port: int = 0
    """Where RTCP is sent; 0: one above `remote_port` (RFC 3550 §11)."""


class ConnectSecure(Message, frozen=True):
    """Key an RTP port whose encrypted datagrams come through :meth:`Engine.deliver` (WebRTC)."""

    port: int
    receive_key: bytes
    send_key: bytes
    profile: str
    fd: int = -1
    """A duplicate of the nominated candidate pair's socket to send on, owned by the engine from here on.
    -1: datagrams to send are handed out in ``Output.datagrams`` (TURN-relayed pairs)."""
    remote_host: str = ""
    remote_port: int = 0
    rtcp_receive_key: bytes = b""
    """Key of RTCP where RTCP has a DTLS association of its own (RFC 5764 section 3); empty: the key of RTP.
    RTCP with its own key leaves in ``Output.datagrams``."""
    rtcp_send_key: bytes = b""
    reads: bool = False
    """The engine reads `fd` as well: media of the remote address. All other datagrams leave in
    ``Output.strays``."""


class AddFeedPort(Message, frozen=True):
    """Open a port whose audio comes by :meth:`Engine.feed` and leaves in ``Output.frames`` (WebSocket)."""

    port: int
    mix: int
    codec: Literal["pcm", "pcmu", "pcma", "g722"] = "pcm"
    sample_rate: int = 16000
    """Hz, of pcm: 8000, 16000, 24000 or 48000; ignored for the other codecs."""
    buffer_ms: int = 60000
    """Longest queue of audio, milliseconds; audio beyond it is dropped and counted."""
    prebuffer_ms: int = 40
    """Audio that must have come before a talk spurt is played, milliseconds; also after every underrun."""
    listens: bool = True
    """False: the port is a source only and no frame is handed out for it."""
    speaks: bool = True
    """False: the port is a listener only and its audio is not mixed."""
    live: bool | None = False
    """True: the source sends in real time; audio that a stall made late is discarded until it is on time.
    False: the source may send ahead; none of its audio is discarded. None: decided by how it arrives."""


class RemovePort(Message, frozen=True):
    """Close a port; :class:`PortClosed` follows with its statistics."""

    port: int


class JoinMix(Message, frozen=True):
    """Move a port to another mix (bridge, room) or back; the tracks of its call stay in its own mix."""

    port: int
    mix: int
    audience: tuple[int, ...] | None = None
    """Ports of the mix that hear it (a supervisor who whispers to one of them); empty: none does, and two
    parties that are relayed stay so; None: all do."""


class SetHeld(Message, frozen=True):
    """Mark a port as on hold; missing media is not reported then."""

    port: int
    held: bool


class SetDirection(Message, frozen=True):
    """Set the directions in which the media of an RTP port flows (RFC 3264 §8.4); RTCP always flows."""

    port: int
    sends: bool = True
    """False: neither audio nor digits are sent (the switch answered recvonly or inactive)."""
    receives: bool = True
    """False: received audio is not mixed, and missing media is not reported (sendonly or inactive)."""


class SetVad(Message, frozen=True):
    """Switch voice activity detection of a port on, or off with an empty ``kind``."""

    port: int
    kind: str = ""
    """Name of a detector the engine was built with: silero, webrtc, energy, or the name of a plug-in."""
    threshold: float = 0.5
    start_ms: int = 200
    """Duration of speech after which its beginning is reported."""
    stop_ms: int = 300
    """Duration of silence after which the end of speech is reported."""


class SendDigits(Message, frozen=True):
    """Send DTMF digits to a port's remote party: as RFC 4733 events where negotiated, else as tones."""

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
    """Gain while a track without `duck_to` sounds in the same mix (music under speech); None never ducks."""
    low_ms: int = 0
    """Report :class:`TrackLow` when less than this is queued, milliseconds; 0 never reports it."""
    capacity_ms: int = 600000
    """Longest queue of audio, milliseconds; audio beyond it is refused and counted."""
    prebuffer_ms: int = 0
    """For a live source: audio that must have come before the track sounds; also after every underrun."""
    live: bool = False
    """Discard audio that a stall made late until the source is on time; marks in it count as reached."""


class FeedTrack(Message, frozen=True):
    """Append audio to a track."""

    track: int
    sample_rate: int
    """Any of 8000-48000 Hz; constant between two drops."""
    pcm: bytes
    """PCM16 little endian; an odd last byte is carried to the next."""
    boundary: bool = False
    """A sentence ends with this audio; :class:`DropTrack` with ``at_boundary`` may stop here."""


class ClearTrack(Message, frozen=True):
    """Discard the queued audio and report its marks as cleared, but keep the track open."""

    track: int


class ReadStream(Message, frozen=True):
    """Let the tick read the WebSocket of a stream (:meth:`Engine.open_stream`), since all before is done."""

    track: int
    """Id of the stream's queue: that of its track."""
    asked: int
    """How often this was asked; what was asked before does not count any longer."""


class AddTap(Message, frozen=True):
    """Copy a port's audio out in ``Output.frames`` under the tap's id."""

    tap: int
    port: int
    direction: Direction = "inbound"
    """inbound: audio from the port; outbound: audio to the port."""
    sample_rate: int = 16000
    """8000, 16000, 24000 or 48000 Hz."""
    packet_bytes: int = 0
    """Exact size of each frame handed out; 0: one frame a tick, whatever its size."""
    encoding: Literal["pcm16", "pcmu", "pcma"] = "pcm16"
    """PCM16 little endian, or G.711 at that rate."""
    stream: int = 0
    """Id of the stream whose WebSocket the tick writes itself; 0: none."""


class RemoveTap(Message, frozen=True):
    """Stop a tap."""

    tap: int


class StartRecorder(Message, frozen=True):
    """Record a port in stereo: audio from the port left, audio to the port right."""

    recorder: int
    port: int
    path: str
    sample_rate: int = 16000
    container: Literal["wav", "opus"] = "wav"
    max_bytes: int = 0
    """Largest size of the file: the recording stops there and is reported; 0 is unbounded."""
    hears: bool = False
    """True: audio to the port on both sides (for a port that is a listener only: records a whole room)."""
    tone_ms: int = 0
    """Interval of the beeps that announce the recording to all in the mix of the port; 0: there are none."""


class PauseRecorder(Message, frozen=True):
    """Record silence in place of the audio, or the audio again."""

    recorder: int
    paused: bool


class StopRecorder(Message, frozen=True):
    """Close a recording; :class:`RecorderClosed` follows."""

    recorder: int
