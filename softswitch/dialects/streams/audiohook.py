"""The stream dialect of Genesys Cloud's AudioHook and Audio Connector, protocol version 2.

Written from Genesys's "AudioHook Protocol Reference" (developer.genesys.cloud/devapps/audiohook) and its
reference implementation (purecloudlabs/audiohook-reference-implementation). The switch is the client: it
opens and closes the session. Audio is binary, PCMU or L16 at 8 kHz, of the channel `external`, and is sent
only between `opened` and `close` and not while the session is paused. `key` of `[[stream]]` is the
organization, `token` the API key, `secret` the client secret in base64.
"""

import binascii
import hashlib
import hmac
import re
from typing import Any
from urllib.parse import urlsplit

import pybase64

from softswitch.call.interfaces import PlaybackStatus, StreamRequest
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.credentials import Credentials
from softswitch.dialects.streams.json_session import JsonSession, base64_text, encode
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import (
    Attempt,
    Audio,
    AudioFormat,
    Clear,
    Close,
    Complaint,
    Handshake,
    Messages,
    Misdirected,
    Pause,
    Ready,
    Reply,
    StreamTraits,
    Values,
)
from softswitch.legs.stream.formats import PCMU, choose_format, refuse_two_tracks
from softswitch.settings import Stream

VERSION = "2"
_FORMATS = (PCMU, AudioFormat("pcm16", 8000))
_NAMES = {"pcmu": "PCMU", "pcm16": "L16"}
_FRAME_MS = 20
_PING_S = 5.0
_LIFETIME_S = 30
"""Validity of a signature."""
_FAREWELL_S = 5.0
"""Longest wait for `closed`."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DEFAULT_PORTS = {"ws": ":80", "wss": ":443"}


class AudioHookStreams:
    """The dialect with its credentials (a ``StreamDialect``)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def open(self, request: StreamRequest) -> "AudioHookSession":
        """Return the session of a new stream.

        Raises:
            MalformedError: The dialect does not have what was requested; the error names the field.
        """
        refuse_two_tracks(request)
        return AudioHookSession(request, self._credentials.find(request), choose_format(request, _FORMATS))


class AudioHookSession(JsonSession):
    """One AudioHook session: sequence numbers of both sides, the position, and what was said last."""

    def __init__(self, request: StreamRequest, row: Stream, form: AudioFormat) -> None:
        super().__init__(request)
        self.traits = StreamTraits(
            sends=form,
            receives=form,
            frame_ms=_FRAME_MS,
            binary_media=True,
            takes_binary=True,
            acknowledges_marks=False,
            awaits_ready=True,
            follows_playback=True,
            keepalive_s=_PING_S,
            farewell_s=_FAREWELL_S,
        )
        self._secret, self._api_key = row.secret, row.token
        self._id = uuid_of(request.stream)
        self._organization = row.key or uuid_of(request.account)
        self._server_sequence = 0
        self._position_ms = 0
        self._begins_at: int | None = None
        """Number of the first frame that was sent."""
        self._paused_at: int | None = None
        """Epoch milliseconds of the pause that lasts."""
        self._pinged_at: int | None = None
        """Epoch milliseconds of the ping that was not answered yet."""
        self._round_trip_ms: int | None = None
        self._plays = self._closes = self._is_open = False

    def handshake(self, attempt: Attempt) -> Handshake:
        """Return the ids of the session and, where there is a secret, the HTTP message signature."""
        headers = {
            "Audiohook-Organization-Id": self._organization,
            "Audiohook-Session-Id": self._id,
            "Audiohook-Correlation-Id": uuid_of(self._request.call),
            "X-API-KEY": self._api_key,
        }
        if self._secret:
            parts = urlsplit(self._request.url)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            host = parts.netloc.rpartition("@")[2].lower().removesuffix(_DEFAULT_PORTS.get(parts.scheme, "-"))
            components = {"@request-target": target, "@authority": host}
            components |= {name.lower(): value for name, value in headers.items()}
            headers |= signature_headers(
                components, self._api_key, self._secret, attempt.epoch_s, attempt.nonce
            )
        return Handshake(headers=headers)

    def opened(self, now_ms: int) -> Messages:
        """Return `open`, which offers one medium."""
        request = self._request
        form = self.traits.sends
        parameters: dict[str, Any] = {
            "organizationId": self._organization,
            "conversationId": uuid_of(request.call),
            "participant": {
                "id": uuid_of(f"{request.call}/{request.channel}"),
                "ani": request.caller,
                "aniName": request.caller,
                "dnis": request.callee,
            },
            "media": [
                {
                    "type": "audio",
                    "format": _NAMES[form.encoding],
                    "channels": ["external"],
                    "rate": form.sample_rate,
                }
            ],
        }
        if request.parameters:
            parameters["inputVariables"] = request.parameters
        return (self._message("open", parameters),)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return the audio as it is; the position counts from the first frame, pauses included."""
        if self._begins_at is None:
            self._begins_at = frame
        self._position_ms = (frame - self._begins_at + 1) * _FRAME_MS
        return audio

    def dtmf(self, digit: str, now_ms: int) -> Messages:
        """Return `dtmf`."""
        return (self._message("dtmf", {"digit": digit}),) if self._is_open else ()

    def playback(self, status: PlaybackStatus, played_ms: int | None, now_ms: int) -> Messages:
        """Return `playback_started` and `playback_completed`; a cleared playback is completed."""
        starts = status == "started"
        if self._closes or starts == self._plays:
            return ()
        self._plays = starts
        return (self._message("playback_started" if starts else "playback_completed", {}),)

    def keepalive(self, now_ms: int) -> Messages:
        """Return `ping` with the last round-trip time."""
        if not self._is_open or self._closes:
            return ()
        self._pinged_at = now_ms
        rtt = self._round_trip_ms
        return (self._message("ping", {} if rtt is None else {"rtt": duration(rtt)}),)

    def stop(self, now_ms: int) -> Messages:
        """Return `close`."""
        return self._close("end")

    def unreadable(self, reason: str, now_ms: int) -> Messages:
        """Return `error` for a message that cannot be read."""
        return () if self._closes else (self._message("error", {"code": 400, "message": reason}),)

    def read_binary(self, data: bytes, now_ms: int) -> Values:
        """Return the audio of a binary message."""
        return (Audio(data),)

    def _values(self, message: dict[str, Any], now_ms: int) -> Values:
        if message.get("version") != VERSION:
            raise MalformedError(f"version: must be {VERSION!r}", field="version")
        if message.get("id") != self._id:
            return (Misdirected(),)
        sequence = message.get("seq")
        if not isinstance(sequence, int) or isinstance(sequence, bool) or sequence <= self._server_sequence:
            raise MalformedError(f"seq: must be a number above {self._server_sequence}", field="seq")
        self._server_sequence = sequence
        parameters = message.get("parameters", {})
        if not isinstance(parameters, dict):
            raise MalformedError("parameters: must be an object", field="parameters")
        return self._read(message.get("type"), parameters, now_ms)

    def _read(self, kind: object, parameters: dict[str, Any], now_ms: int) -> Values:
        match kind:
            case "opened":
                return self._read_opened(parameters, now_ms)
            case "pause":
                return self._pause(now_ms)
            case "resume":
                return self._resume(now_ms)
            case "pong":
                if self._pinged_at is not None:
                    self._round_trip_ms, self._pinged_at = max(0, now_ms - self._pinged_at), None
                return ()
            case "event":
                entities = parameters.get("entities", [])
                if not isinstance(entities, list):
                    raise MalformedError("entities: must be a list", field="entities")
                barges = any(isinstance(one, dict) and one.get("type") == "barge_in" for one in entities)
                return (Clear(),) if barges else ()
            case "disconnect":
                return (Pause(), *(Reply(message) for message in self._close("disconnect")))
            case "closed":
                return (Close("the service closed the session"),)
            case "error":
                return (Complaint(str(parameters.get("message", parameters))[:500]),)
            case "reconnect":
                return (
                    Complaint("the service asks for another connection, which this switch does not make"),
                )
            case "updated":
                return ()
        raise MalformedError("type: is unknown", field="type")

    def _read_opened(self, parameters: dict[str, Any], now_ms: int) -> Values:
        if self._is_open:
            raise MalformedError("type: the session is open already", field="type")
        media = parameters.get("media")
        accepted = media[0] if isinstance(media, list) and media else {}
        if not isinstance(accepted, dict) or accepted.get("format") != _NAMES[self.traits.sends.encoding]:
            return (Close("the service accepted no medium that was offered", 1002),)
        self._is_open = True
        if parameters.get("startPaused"):
            return Ready(), *self._pause(now_ms)
        return (Ready(),)

    def _pause(self, now_ms: int) -> Values:
        if self._paused_at is None:
            self._paused_at = now_ms
        return Pause(), Reply(self._message("paused", {}))

    def _resume(self, now_ms: int) -> Values:
        discarded = 0 if self._paused_at is None else max(0, now_ms - self._paused_at)
        self._paused_at = None
        parameters = {"start": duration(self._position_ms), "discarded": duration(discarded)}
        return Reply(self._message("resumed", parameters)), Ready()

    def _close(self, reason: str) -> Messages:
        if self._closes:
            return ()
        self._closes = True
        return (self._message("close", {"reason": reason}),)

    def _message(self, kind: str, parameters: dict[str, Any]) -> bytes:
        return encode(
            {
                "version": VERSION,
                "id": self._id,
                "type": kind,
                "seq": self._next(),
                "serverseq": self._server_sequence,
                "position": duration(self._position_ms),
                "parameters": parameters,
            }
        )


def signature_headers(
    components: dict[str, str],
    key_id: str,
    secret: str,
    created: int,
    nonce: str,
    *,
    lifetime_s: int = _LIFETIME_S,
) -> dict[str, str]:
    """Return `Signature-Input` and `Signature` of HTTP message signatures, HMAC-SHA256.

    Args:
        components: What is signed, by its name in lower case, in order.
        key_id: The API key.
        secret: The client secret in base64; a text that is not base64 is taken as it is.
        created: Moment of signing, epoch seconds.
        nonce: A text that is new for each signature.
        lifetime_s: Validity of the signature, seconds.
    """
    names = " ".join(f'"{name}"' for name in components)
    parameters = (
        f'({names});keyid="{key_id}";nonce="{nonce}";alg="hmac-sha256";'
        f"created={created};expires={created + lifetime_s}"
    )
    lines = [f'"{name}": {value}' for name, value in components.items()]
    signed = "\n".join([*lines, f'"@signature-params": {parameters}'])
    try:
        key = pybase64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        key = secret.encode()
    proof = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return {"Signature-Input": f"sig1={parameters}", "Signature": f"sig1=:{base64_text(proof)}:"}


def uuid_of(text: str) -> str:
    """Return a UUID: the text itself where it is one, else one that depends on the text alone."""
    if _UUID.fullmatch(text.lower()):
        return text.lower()
    digits = hashlib.sha256(text.encode()).hexdigest()
    # The digits of version 8 and of the variant (RFC 9562 section 5.8) stand at fixed places.
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"


def duration(ms: int) -> str:
    """Return milliseconds as the protocol writes a duration, such as `PT1.5S`."""
    return f"PT{ms / 1000:g}S" if ms < 1_000_000 else f"PT{ms / 1000:.3f}S"
