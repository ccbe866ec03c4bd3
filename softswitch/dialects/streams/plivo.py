"""The stream dialect of Plivo audio streaming: JSON text, audio as base64 µ-law or PCM16.

Written from Plivo's pages "Audio Streaming Protocol Reference" (voice-agents/audio-streaming/concepts),
"Checkpoint event" and "Clear audio stream" (voice/xml/the-stream-element), and "Signature validation"
(voice/concepts).
"""

import hashlib
import hmac
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from pybase64 import b64encode

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.credentials import Credentials
from softswitch.dialects.streams.json_session import (
    JsonSession,
    audio,
    base64_text,
    child,
    encode,
    fixed,
    text,
)
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import (
    Attempt,
    Audio,
    AudioFormat,
    Clear,
    Encoding,
    Handshake,
    Messages,
    Misdirected,
    PlaceMark,
    Reply,
    StreamTraits,
    Values,
)
from softswitch.legs.stream.formats import PCMU, choose_format
from softswitch.settings import Stream

_FORMATS = (PCMU, AudioFormat("pcm16", 8000), AudioFormat("pcm16", 16000))
_NAMES: Final[dict[Encoding, str]] = {"pcmu": "audio/x-mulaw", "pcm16": "audio/x-l16"}
_BY_NAME: Final = {(_NAMES[form.encoding], form.sample_rate): form for form in _FORMATS}


class PlivoStreams:
    """The dialect with its credentials (a ``StreamDialect``)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def open(self, request: StreamRequest) -> "PlivoSession":
        """Return the session of a new stream.

        Raises:
            MalformedError: The dialect does not have what was requested; the error names the field.
        """
        return PlivoSession(request, self._credentials.find(request), choose_format(request, _FORMATS))


class PlivoSession(JsonSession):
    """One Plivo stream."""

    def __init__(self, request: StreamRequest, row: Stream, form: AudioFormat) -> None:
        super().__init__(request)
        self.traits = StreamTraits(sends=form, receives=form)
        self._secret = row.secret
        self._account = row.key or request.account
        self._extra = ";".join(f"{name}={value}" for name, value in request.parameters.items())
        self._media = {track: self._template(track) for track in request.tracks}

    def handshake(self, attempt: Attempt) -> Handshake:
        """Return the signature of version 3 and its nonce, where there is a secret."""
        if not self._secret:
            return Handshake()
        signed = f"{_sorted_url(self._request.url)}.{attempt.nonce}".encode()
        proof = hmac.new(self._secret.encode(), signed, hashlib.sha256).digest()
        return Handshake(
            headers={
                "X-Plivo-Signature-V3": base64_text(proof),
                "X-Plivo-Signature-V3-Nonce": attempt.nonce,
            }
        )

    def opened(self, now_ms: int) -> Messages:
        """Return `start`."""
        request, form = self._request, self.traits.sends
        start = {
            "callId": request.call,
            "streamId": request.stream,
            "accountId": self._account,
            "tracks": list(request.tracks),
            "mediaFormat": {"encoding": _NAMES[form.encoding], "sampleRate": form.sample_rate},
        }
        message = {
            "event": "start",
            "sequenceNumber": self._next(),
            "start": start,
            "extra_headers": self._extra,
        }
        return (encode(message),)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return `media` with 20 ms of audio; its timestamp is epoch milliseconds."""
        return self._media[track] % (self._next(), now_ms, frame + 1, b64encode(audio))

    def _template(self, track: StreamTrack) -> bytes:
        part = b'{"track":%b,"timestamp":"%%d","chunk":%%d,"payload":"%%b"}' % fixed(track)
        return b'{"event":"media","sequenceNumber":%%d,"streamId":%b,"media":%b,"extra_headers":%b}' % (
            fixed(self._request.stream),
            part,
            fixed(self._extra),
        )

    def mark(self, name: str, cleared: bool, now_ms: int) -> Messages:
        """Return `playedStream`; a checkpoint whose audio was cleared is not reported."""
        if cleared:
            return ()
        return (encode({"event": "playedStream", "streamId": self._request.stream, "name": name}),)

    def dtmf(self, digit: str, now_ms: int) -> Messages:
        """Return `dtmf`."""
        return (self._message("dtmf", {"track": "inbound", "digit": digit, "timestamp": str(now_ms)}),)

    def stop(self, now_ms: int) -> Messages:
        """Return `stop`."""
        return (self._message("stop", {"callId": self._request.call, "accountId": self._account}),)

    def _values(self, message: dict[str, Any], now_ms: int) -> Values:
        if message.get("streamId", self._request.stream) != self._request.stream:
            return (Misdirected(),)
        match message.get("event"):
            case "playAudio":
                media = child(message, "media")
                return (Audio(audio(media), _read_format(media)),)
            case "checkpoint":
                return (PlaceMark(text(message, "name")),)
            case "clearAudio":
                cleared = {
                    "event": "clearedAudio",
                    "sequenceNumber": self._next(),
                    "streamId": self._request.stream,
                }
                return Clear(), Reply(encode(cleared))
        raise MalformedError("event: must be playAudio, checkpoint or clearAudio", field="event")

    def _message(self, event: str, part: dict[str, Any]) -> bytes:
        return encode(
            {
                "event": event,
                "sequenceNumber": self._next(),
                "streamId": self._request.stream,
                event: part,
                "extra_headers": self._extra,
            }
        )


def _read_format(media: dict[str, Any]) -> AudioFormat:
    name, rate = media.get("contentType"), media.get("sampleRate")
    try:
        return _BY_NAME[str(name).partition(";")[0], int(rate)]  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError):
        known = ", ".join(f"{name} at {rate}" for name, rate in _BY_NAME)
        raise MalformedError(
            f"contentType and sampleRate: must be one of {known}", field="contentType"
        ) from None


def _sorted_url(url: str) -> str:
    """Return a URL with its query sorted by name, which is what Plivo signs."""
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}{parts.path}"
    pairs = sorted(parse_qsl(parts.query, keep_blank_values=True))
    return f"{base}?{'&'.join(f'{name}={value}' for name, value in pairs)}" if pairs else base
