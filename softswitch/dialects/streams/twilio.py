"""The stream dialect of Twilio Media Streams: JSON text, audio as base64 µ-law at 8 kHz.

Written from Twilio's pages "Media Streams - WebSocket Messages" (docs/voice/media-streams/websocket-
messages) and "Webhooks security" (docs/usage/webhooks/webhooks-security). Numbers are texts, as there.
`streamSid` and `callSid` are the ids of the stream and of the call in the switch; `accountSid` is `key` of
`[[stream]]`, else the account.
"""

import hashlib
import hmac

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.credentials import Credentials
from softswitch.dialects.streams.json_session import base64_text, encode
from softswitch.dialects.streams.numbered_session import NumberedSession
from softswitch.legs.stream.dialect import (
    Attempt,
    Handshake,
    Messages,
    StreamTraits,
)
from softswitch.legs.stream.formats import PCMU, choose_format
from softswitch.settings import Stream

_FRAME_MS = 20


class TwilioStreams:
    """The dialect with its credentials (a ``StreamDialect``)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def open(self, request: StreamRequest) -> "TwilioSession":
        """Return the session of a new stream.

        Raises:
            MalformedError: The dialect does not have what was requested; the error names the field.
        """
        choose_format(request, (PCMU,))
        return TwilioSession(request, self._credentials.find(request))


class TwilioSession(NumberedSession):
    """One Twilio stream."""

    _stream_field, _number_field = "streamSid", "sequenceNumber"

    traits = StreamTraits(sends=PCMU, receives=PCMU, frame_ms=_FRAME_MS)

    def __init__(self, request: StreamRequest, row: Stream) -> None:
        super().__init__(request)
        self._secret = row.secret
        self._account = row.key or request.account

    def handshake(self, attempt: Attempt) -> Handshake:
        """Return `X-Twilio-Signature`, the HMAC-SHA1 of the URL, where there is a secret."""
        if not self._secret:
            return Handshake()
        proof = hmac.new(self._secret.encode(), self._request.url.encode(), hashlib.sha1).digest()
        return Handshake(headers={"X-Twilio-Signature": base64_text(proof)})

    def opened(self, now_ms: int) -> Messages:
        """Return `connected` and `start`."""
        request = self._request
        start = {
            "accountSid": self._account,
            "streamSid": request.stream,
            "callSid": request.call,
            "tracks": list(request.tracks),
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": request.parameters,
        }
        connected = encode({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        return connected, self._message("start", start)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return `media` with 160 bytes of µ-law; its timestamp is milliseconds of the stream."""
        return self._media(frame, audio, track)

    def dtmf(self, digit: str, now_ms: int) -> Messages:
        """Return `dtmf`."""
        return (self._message("dtmf", {"track": "inbound_track", "digit": digit}),)

    def stop(self, now_ms: int) -> Messages:
        """Return `stop`."""
        return (self._message("stop", {"accountSid": self._account, "callSid": self._request.call}),)
