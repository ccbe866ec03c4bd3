"""The stream dialect of Exotel's Voicebot and Stream applets: JSON text, base64 PCM16, 100 ms a message.

Written from Exotel's pages "WebSocket protocol" (docs/agentstream/websocket-protocol) and "Working with the
Stream and Voicebot Applet" (docs/agentstream/stream-voicebot-applet). Numbers are texts, as there. The rate
is that of the request, else `sample-rate` in the query of the URL, else 8 kHz.
"""

from urllib.parse import parse_qs, urlsplit

import msgspec

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.credentials import Credentials, basic
from softswitch.dialects.streams.json_session import encode
from softswitch.dialects.streams.numbered_session import NumberedSession
from softswitch.legs.stream.dialect import (
    Attempt,
    AudioFormat,
    Handshake,
    Messages,
    StreamTraits,
)
from softswitch.legs.stream.formats import choose_format
from softswitch.settings import Stream

_FORMATS = tuple(AudioFormat("pcm16", rate) for rate in (8000, 16000, 24000))
_FRAME_MS = 100


class ExotelStreams:
    """The dialect with its credentials (a ``StreamDialect``)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def open(self, request: StreamRequest) -> "ExotelSession":
        """Return the session of a new stream.

        Raises:
            MalformedError: The dialect does not have what was requested; the error names the field.
        """
        row = self._credentials.find(request)
        if not request.sample_rate:
            request = msgspec.structs.replace(request, sample_rate=_rate_of(request.url))
        return ExotelSession(request, row, choose_format(request, _FORMATS))


class ExotelSession(NumberedSession):
    """One Exotel stream."""

    _stream_field = "stream_sid"

    def __init__(self, request: StreamRequest, row: Stream, form: AudioFormat) -> None:
        super().__init__(request)
        self.traits = StreamTraits(sends=form, receives=form, frame_ms=_FRAME_MS)
        self._key, self._token = row.key, row.token
        self._account = row.key or request.account

    def handshake(self, attempt: Attempt) -> Handshake:
        """Return `Authorization: Basic` with key and token, where there is a token."""
        if not self._token:
            return Handshake()
        return Handshake(headers={"Authorization": basic(self._key, self._token)})

    def opened(self, now_ms: int) -> Messages:
        """Return `connected` and `start`."""
        request, rate = self._request, self.traits.sends.sample_rate
        start = {
            "stream_sid": request.stream,
            "call_sid": request.call,
            "account_sid": self._account,
            "from": request.caller,
            "to": request.callee,
            "custom_parameters": request.parameters,
            "media_format": {
                "encoding": "audio/x-raw",
                "sample_rate": str(rate),
                "bit_rate": "16",
            },
        }
        return encode({"event": "connected"}), self._message("start", start)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return `media` with 100 ms of PCM16; its timestamp is milliseconds of the stream."""
        return self._media(frame, audio, track if len(self._request.tracks) > 1 else "")

    def dtmf(self, digit: str, now_ms: int) -> Messages:
        """Return `dtmf`."""
        return (self._message("dtmf", {"duration": "100", "digit": digit}),)

    def stop(self, now_ms: int) -> Messages:
        """Return `stop`."""
        part = {"call_sid": self._request.call, "account_sid": self._account, "reason": "callended"}
        return (self._message("stop", part),)


def _rate_of(url: str) -> int:
    """Return the number `sample-rate` of a query, 0 without one."""
    given = parse_qs(urlsplit(url).query).get("sample-rate", [""])[0]
    return int(given) if given.isascii() and given.isdigit() else 0
