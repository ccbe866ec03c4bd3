"""The stream dialect of Vonage: binary PCM16 at 8, 16 or 24 kHz, control messages as JSON.

Written from Vonage's pages "WebSockets in the Vonage Voice API" (voice/voice-api/concepts/websockets) and
"Audio Connector" (video/guides/audio-connector). The first message has the custom parameters beside its own
fields.
"""

from typing import Any

import msgspec

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.credentials import Credentials
from softswitch.dialects.streams.json_session import JsonSession, child, encode
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import (
    Attempt,
    Audio,
    AudioFormat,
    Clear,
    Handshake,
    Messages,
    PlaceMark,
    Reply,
    StreamTraits,
    Values,
)
from softswitch.legs.stream.formats import choose_format, refuse_two_tracks
from softswitch.settings import Stream

_FORMATS = tuple(AudioFormat("pcm16", rate) for rate in (16000, 8000, 24000))
_MAX_PAYLOAD = 4096
"""Longest payload of a `notify`, bytes of JSON."""
_DTMF_MS = 100
"""Duration that a key is reported with, milliseconds: the switch reports a key once, without its duration."""


class VonageStreams:
    """The dialect with its credentials (a ``StreamDialect``)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def open(self, request: StreamRequest) -> "VonageSession":
        """Return the session of a new stream.

        Raises:
            MalformedError: The dialect does not have what was requested; the error names the field.
        """
        refuse_two_tracks(request)
        return VonageSession(request, self._credentials.find(request), choose_format(request, _FORMATS))


class VonageSession(JsonSession):
    """One Vonage WebSocket. The name of a mark is the JSON text of a `notify` payload."""

    def __init__(self, request: StreamRequest, row: Stream, form: AudioFormat) -> None:
        super().__init__(request)
        self.traits = StreamTraits(sends=form, receives=form, binary_media=True, takes_binary=True)
        self._token = row.token

    def handshake(self, attempt: Attempt) -> Handshake:
        """Return `Authorization` with the token, as the custom authorization of Vonage does."""
        return Handshake(headers={"Authorization": self._token}) if self._token else Handshake()

    def opened(self, now_ms: int) -> Messages:
        """Return `websocket:connected`."""
        content_type = f"audio/l16;rate={self.traits.sends.sample_rate}"
        own = {"event": "websocket:connected", "content-type": content_type}
        return (encode({**self._request.parameters, **own}),)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return 20 ms of PCM16 as they are."""
        return audio

    def mark(self, name: str, cleared: bool, now_ms: int) -> Messages:
        """Return `websocket:notify` for audio that was played; what was cleared is not reported."""
        if cleared:
            return ()
        return (encode({"event": "websocket:notify", "payload": msgspec.Raw(name.encode())}),)

    def dtmf(self, digit: str, now_ms: int) -> Messages:
        """Return `websocket:dtmf`."""
        return (encode({"event": "websocket:dtmf", "digit": digit, "duration": _DTMF_MS}),)

    def read_binary(self, data: bytes, now_ms: int) -> Values:
        """Return the audio of a binary message."""
        return (Audio(data),)

    def _values(self, message: dict[str, Any], now_ms: int) -> Values:
        match message.get("action"):
            case "clear":
                return Clear(), Reply(encode({"event": "websocket:cleared"}))
            case "notify":
                payload = encode(child(message, "payload"))
                if len(payload) > _MAX_PAYLOAD:
                    raise MalformedError(f"payload: must be at most {_MAX_PAYLOAD} bytes", field="payload")
                return (PlaceMark(payload.decode()),)
        raise MalformedError("action: must be clear or notify", field="action")
