"""The stream dialect of Wavix: JSON text, audio as base64 PCM16 at 24 kHz.

Used by :mod:`softswitch.dialects.streams`, which names it for the client of streams.
"""

from dataclasses import dataclass, field
from typing import assert_never

from softswitch.call.interfaces import Numbers, StreamRequest
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.wavix.stream_text import FRAME_MS, RATE, StreamText
from softswitch.egress.signature import HEADER, signature
from softswitch.legs.stream.dialect import (
    Attempt,
    Audio,
    AudioFormat,
    Clear,
    Handshake,
    HangUp,
    MediaWords,
    Messages,
    Misdirected,
    PlaceMark,
    StreamSession,
    StreamTraits,
    Values,
)
from softswitch.legs.stream.formats import choose_format
from softswitch.protocol import wavix_stream as w
from softswitch.protocol.instants import rfc3339

_PCM = AudioFormat("pcm16", RATE)
_TRAITS = StreamTraits(sends=_PCM, receives=_PCM, frame_ms=FRAME_MS, reconnects=True)
_MISDIRECTED = (Misdirected(),)


class EventTimes:
    """Texts of ``event_time``, made once a millisecond for all streams together."""

    def __init__(self) -> None:
        self._at = -1
        self._text = ""
        self._data = b""

    def text(self, now_ms: int) -> str:
        """Return epoch milliseconds as ISO 8601 text in UTC."""
        self._make(now_ms)
        return self._text

    def data(self, now_ms: int) -> bytes:
        """Return the same as ASCII bytes."""
        self._make(now_ms)
        return self._data

    def _make(self, now_ms: int) -> None:
        if now_ms != self._at:
            self._at, self._text = now_ms, rfc3339(now_ms)
            self._data = self._text.encode()


@dataclass(frozen=True, slots=True)
class WavixStreams:
    """The dialect with its settings (a ``StreamDialect``)."""

    secret: str = ""
    """Signs the handshake; empty: no signature."""
    ticks: bool = False
    """Whether timestamps count 24 kHz samples instead of milliseconds."""
    times: EventTimes = field(default_factory=EventTimes)

    def open(self, request: StreamRequest) -> "WavixSession":
        """Return the session of a new stream; raises MalformedError for any format but PCM16 at 24 kHz."""
        choose_format(request, (_PCM,))
        return WavixSession(request, self)


class WavixSession(StreamSession):
    """One stream; its counters go on across connections."""

    traits = _TRAITS

    def __init__(self, request: StreamRequest, dialect: WavixStreams) -> None:
        self._request = request
        self._secret, self._times = dialect.secret, dialect.times
        self._text = StreamText(request.call, request.stream, ticks=dialect.ticks)

    def handshake(self, attempt: Attempt) -> Handshake:
        """Return the signature over ``<call id>.<stream id>.<URL>``, where there is a secret."""
        if not self._secret:
            return Handshake()
        request = self._request
        signed = f"{request.call}.{request.stream}.{request.url}".encode()
        return Handshake(headers={HEADER: signature(self._secret, attempt.epoch_s, signed)})

    def opened(self, now_ms: int) -> Messages:
        """Return `connected` and `start`."""
        request = self._request
        extra = None
        if "start" in request.extras:
            extra = w.StartExtra(
                from_=request.caller,
                to=request.callee,
                direction="inbound" if request.incoming else "outbound",
                tag=request.tag,
                buffer_ms=request.buffer_ms if request.two_way else None,
            )
        kind: w.StreamType = "twoway" if request.two_way else "oneway"
        now = self._times.text(now_ms)
        return self._text.connected(now), self._text.start(now, kind, request.channel, extra)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return `media` with 960 bytes of PCM16."""
        return self._text.media(self._times.data(now_ms), track, frame, audio)

    def media_words(self, track: StreamTrack) -> MediaWords:
        """Return how compiled code writes :meth:`media`."""
        return self._text.media_words(track)

    def count_with(self, numbers: Numbers) -> None:
        """Number messages in another place from now on."""
        self._text.count_with(numbers)

    def mark(self, name: str, cleared: bool, now_ms: int) -> Messages:
        """Return `mark`; which of both it was is said with the extra `mark_status` only."""
        status: w.MarkStatus | None = None
        if "mark_status" in self._request.extras:
            status = "cleared" if cleared else "played"
        return (self._text.mark(self._times.text(now_ms), name, status),)

    def dtmf(self, digit: str, now_ms: int) -> Messages:
        """Return `dtmf`, with the extra of that name only."""
        if "dtmf" not in self._request.extras:
            return ()
        return (self._text.dtmf(self._times.text(now_ms), digit),)

    def stop(self, now_ms: int) -> Messages:
        """Return `stop`."""
        return (self._text.stop(self._times.text(now_ms)),)

    def read_text(self, data: bytes, now_ms: int) -> Values:
        """Return what a message means; `hangup` means something with the extra of that name only.

        Raises:
            MalformedError: It is not JSON, not such an event, or its audio is not base64.
        """
        message = w.read(data)
        if message.stream_id is not None and message.stream_id != self._request.stream:
            return _MISDIRECTED
        match message:
            case w.PlayMedia():
                return (Audio(message.media.payload),)
            case w.PlaceMark():
                return (PlaceMark(message.mark.name),)
            case w.Clear():
                return (Clear(),)
            case w.HangUp():
                return (HangUp(message.drain),) if "hangup" in self._request.extras else ()
            case _:
                assert_never(message)
