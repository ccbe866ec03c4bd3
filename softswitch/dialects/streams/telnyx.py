"""The stream dialect of Telnyx media streaming: JSON text, audio as base64 G.711 ("rtp" mode).

Written from Telnyx's pages "Stream call media over WebSocket" (api-reference/websockets) and "Media
Streaming over Websockets" (docs/voice/programmable-voice/media-streaming). Numbers are texts, as there.
"""

from typing import Final

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.credentials import Credentials
from softswitch.dialects.streams.json_session import encode
from softswitch.dialects.streams.numbered_session import NumberedSession
from softswitch.legs.stream.dialect import (
    Attempt,
    AudioFormat,
    Encoding,
    Handshake,
    Messages,
    StreamTraits,
)
from softswitch.legs.stream.formats import PCMA, PCMU, choose_format
from softswitch.protocol.instants import rfc3339
from softswitch.settings import Stream

_FRAME_MS = 20
_NAMES: Final[dict[Encoding, str]] = {"pcmu": "PCMU", "pcma": "PCMA"}
_MALFORMED = 100003
"""Code of the error "malformed_frame"."""


class TelnyxStreams:
    """The dialect with its credentials (a ``StreamDialect``)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def open(self, request: StreamRequest) -> "TelnyxSession":
        """Return the session of a new stream.

        Raises:
            MalformedError: The dialect does not have what was requested; the error names the field.
        """
        form = choose_format(request, (PCMU, PCMA))
        return TelnyxSession(request, self._credentials.find(request), form)


class TelnyxSession(NumberedSession):
    """One Telnyx stream."""

    def __init__(self, request: StreamRequest, row: Stream, form: AudioFormat) -> None:
        super().__init__(request)
        self.traits = StreamTraits(sends=form, receives=form, frame_ms=_FRAME_MS)
        self._token = row.token
        self._user = row.key or request.account

    def handshake(self, attempt: Attempt) -> Handshake:
        """Return the header with the token, where there is one."""
        return (
            Handshake(headers={"x-telnyx-streaming-auth-token": self._token}) if self._token else Handshake()
        )

    def opened(self, now_ms: int) -> Messages:
        """Return `connected` and `start`."""
        request = self._request
        connected = {"event": "connected", "version": "1.0.0"}
        if self._token:
            connected["x-telnyx-streaming-auth-token"] = self._token
        start = {
            "user_id": self._user,
            "call_control_id": request.call,
            "call_session_id": request.call,
            "from": request.caller,
            "to": request.callee,
            "tags": [request.tag] if request.tag else [],
            "client_state": "",
            "custom_parameters": request.parameters,
            "media_format": {
                "encoding": _NAMES[self.traits.sends.encoding],
                "sample_rate": self.traits.sends.sample_rate,
                "channels": 1,
            },
        }
        return encode(connected), self._message("start", start)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return `media` with 160 bytes of G.711; its timestamp is milliseconds of the stream."""
        return self._media(frame, audio, track)

    def dtmf(self, digit: str, now_ms: int) -> Messages:
        """Return `dtmf`."""
        message = {
            "event": "dtmf",
            "stream_id": self._request.stream,
            "occurred_at": rfc3339(now_ms),
            "sequence_number": str(self._next()),
            "dtmf": {"digit": digit},
        }
        return (encode(message),)

    def stop(self, now_ms: int) -> Messages:
        """Return `stop`."""
        return (self._message("stop", {"user_id": self._user, "call_control_id": self._request.call}),)

    def unreadable(self, reason: str, now_ms: int) -> Messages:
        """Return `error` for a message that cannot be read."""
        payload = {"code": _MALFORMED, "title": "malformed_frame", "detail": reason}
        return (encode({"event": "error", "payload": payload, "stream_id": self._request.stream}),)
