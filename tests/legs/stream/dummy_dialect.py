"""A stream dialect of the tests: everything that Wavix's is not, in one module.

Audio is binary: 40 ms of µ-law at 8 kHz to the service, PCM16 at 16 kHz from it. Control messages are JSON
with a `type`. The service takes audio once it has said `ready`, answers a `bye` with a `bye`, is pinged, and
follows the playback of its audio.
"""

import hashlib
import hmac
import json
from typing import Any

from softswitch.call.interfaces import PlaybackStatus, StreamRequest
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d

SECRET = "dummy secret"


def encoded(kind: str, **fields: object) -> bytes:
    return json.dumps({"type": kind, **fields}).encode()


class DummySession(d.StreamSession):
    """One stream; it counts the messages of both sides."""

    traits = d.StreamTraits(
        sends=d.AudioFormat("pcmu", 8000),
        receives=d.AudioFormat("pcm16", 16000),
        frame_ms=40,
        binary_media=True,
        takes_binary=True,
        awaits_ready=True,
        follows_playback=True,
        keepalive_s=0.05,
        farewell_s=5.0,
    )

    def __init__(self, request: StreamRequest) -> None:
        self._request = request
        self._numbers = {"local": 0, "remote": 0}

    def handshake(self, attempt: d.Attempt) -> d.Handshake:
        signed = f"{attempt.epoch_s}.{attempt.nonce}".encode()
        proof = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        return d.Handshake(
            headers={"X-Signature": f"{attempt.epoch_s}.{attempt.nonce}.{proof}"},
            query={"session": self._request.stream},
            subprotocols=("dummy.v2", "dummy.v1"),
        )

    def opened(self, now_ms: int) -> d.Messages:
        return (self._numbered("open", at=now_ms, parameters=self._request.parameters),)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        return frame.to_bytes(4) + audio

    def mark(self, name: str, cleared: bool, now_ms: int) -> d.Messages:
        return (self._numbered("mark", name=name, cleared=cleared),)

    def dtmf(self, digit: str, now_ms: int) -> d.Messages:
        return (self._numbered("key", digit=digit),)

    def playback(self, status: PlaybackStatus, played_ms: int | None, now_ms: int) -> d.Messages:
        return (self._numbered("playback", status=status, played=played_ms),)

    def keepalive(self, now_ms: int) -> d.Messages:
        return (self._numbered("ping"),)

    def unreadable(self, reason: str, now_ms: int) -> d.Messages:
        return (self._numbered("unreadable", reason=reason),)

    def stop(self, now_ms: int) -> d.Messages:
        return (self._numbered("bye"),)

    def read_binary(self, data: bytes, now_ms: int) -> d.Values:
        return (d.Audio(data),)

    def read_text(self, data: bytes, now_ms: int) -> d.Values:
        try:
            message = json.loads(data)
            kind = message["type"]
        except (ValueError, TypeError, KeyError) as error:
            raise MalformedError(f"a message is a JSON object with a type: {error}") from error
        self._numbers["remote"] += 1
        return self._values(kind, message)

    def _values(self, kind: str, message: dict[str, Any]) -> d.Values:
        match kind:
            case "ready":
                return (d.Ready(),)
            case "pause":
                return (d.Pause(), d.Reply(self._numbered("paused")))
            case "sound":
                form = d.AudioFormat("pcma", 8000)
                return d.Audio(bytes.fromhex(message["hex"]), form), d.PlaceMark(message["id"])
            case "flush":
                return (d.Clear(), d.Reply(self._numbered("flushed")))
            case "end-call":
                return (d.HangUp(),)
            case "other":
                return (d.Misdirected(),)
            case "error":
                return (d.Complaint(message["text"]),)
            case "bye":
                return (d.Close("the service said bye"),)
            case _:
                return ()

    def _numbered(self, kind: str, **fields: object) -> bytes:
        self._numbers["local"] += 1
        return encoded(kind, n=self._numbers["local"], seen=self._numbers["remote"], **fields)


class DummyDialect:
    """The dialect; it refuses one-way streams."""

    def open(self, request: StreamRequest) -> DummySession:
        if not request.two_way:
            raise MalformedError("stream_type: this dialect has two-way streams only")
        return DummySession(request)
