"""The stream dialect without messages: binary PCM16 in both directions, as `mediaPass` has it.

Documented in docs/guides/bots.md. Text messages of the service mean nothing and are counted.
"""

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.dialects.streams.credentials import Credentials
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import (
    Attempt,
    Audio,
    AudioFormat,
    Handshake,
    StreamSession,
    StreamTraits,
    Values,
)
from softswitch.legs.stream.formats import choose_format, refuse_two_tracks
from softswitch.settings import Stream

_FORMATS = tuple(AudioFormat("pcm16", rate) for rate in (16000, 8000, 24000, 48000))


class RawStreams:
    """The dialect with its credentials (a ``StreamDialect``)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def open(self, request: StreamRequest) -> "RawSession":
        """Return the session of a new stream.

        Raises:
            MalformedError: The dialect does not have what was requested; the error names the field.
        """
        refuse_two_tracks(request)
        return RawSession(self._credentials.find(request), choose_format(request, _FORMATS))


class RawSession(StreamSession):
    """One stream of bare audio, 20 ms a message."""

    def __init__(self, row: Stream, form: AudioFormat) -> None:
        self.traits = StreamTraits(
            sends=form, receives=form, binary_media=True, takes_binary=True, acknowledges_marks=False
        )
        self._token = row.token

    def handshake(self, attempt: Attempt) -> Handshake:
        """Return `Authorization: Bearer` with the token, where there is one."""
        return Handshake(headers={"Authorization": f"Bearer {self._token}"}) if self._token else Handshake()

    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return 20 ms of PCM16 as they are."""
        return audio

    def read_binary(self, data: bytes, now_ms: int) -> Values:
        """Return the audio of a binary message."""
        return (Audio(data),)

    def read_text(self, data: bytes, now_ms: int) -> Values:
        """Refuse a text message; raises MalformedError."""
        raise MalformedError("this stream carries binary audio only")
