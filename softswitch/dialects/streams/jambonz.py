"""The stream dialect of jambonz's `listen` and `stream` verbs: binary PCM16, control messages as JSON.

Written from jambonz's page "listen" (docs.jambonz.org/verbs/verbs/listen) with its section on bidirectional
audio. Streaming audio is binary at the rate of the stream; `playAudio` is raw PCM16 or a WAV file of one
channel.
"""

import io
import wave
from typing import Any

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.credentials import Credentials, basic
from softswitch.dialects.streams.json_session import JsonSession, audio, child, encode, text
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import (
    Attempt,
    Audio,
    AudioFormat,
    Clear,
    Close,
    Handshake,
    Messages,
    PlaceMark,
    StreamTraits,
    Values,
)
from softswitch.legs.stream.formats import choose_format, refuse_two_tracks
from softswitch.settings import Stream

SUBPROTOCOL = "audio.jambonz.org"
_FORMATS = tuple(AudioFormat("pcm16", rate) for rate in (8000, 16000, 24000, 48000))
_RATES = frozenset({8000, 16000, 24000, 32000, 48000})
_DONE = "done"
"""Mark behind a `playAudio`, as the engine has it; marks of the service have a number before their name."""
_DTMF_UNITS = "1600"
"""Duration that a key is reported with, RTP timestamp units: 200 ms; the switch does not measure it."""


class JambonzStreams:
    """The dialect with its credentials (a ``StreamDialect``)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def open(self, request: StreamRequest) -> "JambonzSession":
        """Return the session of a new stream.

        Raises:
            MalformedError: Another format, or both tracks, were requested.
        """
        refuse_two_tracks(request)
        return JambonzSession(request, self._credentials.find(request), choose_format(request, _FORMATS))


class JambonzSession(JsonSession):
    """One jambonz audio stream.

    `clearMarks` forgets the marks placed so far: a mark is placed under the number of times it came before,
    and one of an older number is not reported.
    """

    def __init__(self, request: StreamRequest, row: Stream, form: AudioFormat) -> None:
        super().__init__(request)
        self.traits = StreamTraits(sends=form, receives=form, binary_media=True, takes_binary=True)
        self._key, self._token = row.key, row.token
        self._generation = 0

    def handshake(self, attempt: Attempt) -> Handshake:
        """Return the sub-protocol, and `Authorization: Basic` where there is a token (`wsAuth`)."""
        headers = {"Authorization": basic(self._key, self._token)} if self._token else {}
        return Handshake(headers=headers, subprotocols=(SUBPROTOCOL,))

    def opened(self, now_ms: int) -> Messages:
        """Return the attributes of the call, with the custom parameters beside them."""
        request = self._request
        own = {
            "callSid": request.call,
            "accountSid": self._key or request.account,
            "direction": "inbound" if request.incoming else "outbound",
            "from": request.caller,
            "to": request.callee,
            "callId": request.call,
            "sipStatus": 200,
            "callStatus": "in-progress",
            "sampleRate": self.traits.sends.sample_rate,
            "mixType": "mono",
        }
        return (encode({**request.parameters, **own}),)

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return 20 ms of PCM16 as they are."""
        return audio

    def mark(self, name: str, cleared: bool, now_ms: int) -> Messages:
        """Return `mark`, or `playDone` behind a `playAudio` that was played."""
        if name == _DONE:
            return () if cleared else (encode({"type": "playDone"}),)
        generation, _, given = name.partition(":")
        if int(generation) != self._generation:
            return ()
        data = {"name": given, "event": "cleared" if cleared else "playout"}
        return (encode({"type": "mark", "data": data}),)

    def dtmf(self, digit: str, now_ms: int) -> Messages:
        """Return `dtmf`."""
        return (encode({"event": "dtmf", "dtmf": digit, "duration": _DTMF_UNITS}),)

    def read_binary(self, data: bytes, now_ms: int) -> Values:
        """Return the audio of a binary message."""
        return (Audio(data),)

    def _values(self, message: dict[str, Any], now_ms: int) -> Values:
        match message.get("type"):
            case "playAudio":
                return _read_play(child(message, "data")), PlaceMark(_DONE)
            case "killAudio":
                return (Clear(),)
            case "mark":
                return (PlaceMark(f"{self._generation}:{text(child(message, 'data'), 'name')}"),)
            case "clearMarks":
                self._generation += 1
                return ()
            case "disconnect":
                return (Close("the service said disconnect"),)
        raise MalformedError(
            "type: must be playAudio, killAudio, mark, clearMarks or disconnect", field="type"
        )


def _read_play(data: dict[str, Any]) -> Audio:
    content = audio(data, "audioContent")
    match data.get("audioContentType"):
        case "raw":
            return Audio(content, AudioFormat("pcm16", _read_rate(data.get("sampleRate"))))
        case "wav" | "wave":
            return _read_wav(content)
    raise MalformedError("audioContentType: must be raw, wav or wave", field="audioContentType")


def _read_rate(value: object) -> int:
    if isinstance(value, int | str) and str(value) in map(str, _RATES):
        return int(value)
    known = ", ".join(map(str, sorted(_RATES)))
    raise MalformedError(f"sampleRate: must be one of {known}", field="sampleRate")


def _read_wav(content: bytes) -> Audio:
    try:
        with wave.open(io.BytesIO(content)) as file:
            if (file.getnchannels(), file.getsampwidth()) == (1, 2):
                rate = _read_rate(file.getframerate())
                return Audio(file.readframes(file.getnframes()), AudioFormat("pcm16", rate))
    except (wave.Error, EOFError) as error:
        raise MalformedError(f"audioContent: is not a WAV file: {error}", field="audioContent") from None
    raise MalformedError("audioContent: the WAV file must be PCM16 of one channel", field="audioContent")
