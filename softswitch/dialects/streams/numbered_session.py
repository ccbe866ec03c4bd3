"""What Twilio's stream messages and those modelled on them (Telnyx, Exotel) have in common.

Each message has an event, a number and the id of the stream; the object of the same name as the event holds
the rest. Services send `media`, `mark` and `clear`.
"""

from typing import Any, ClassVar

from pybase64 import b64encode

from softswitch.call.interfaces import StreamRequest
from softswitch.dialects.streams.json_session import JsonSession, audio, child, encode, fixed, text
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import Audio, Clear, Messages, Misdirected, PlaceMark, Values


class NumberedSession(JsonSession):
    """A stream of numbered messages; numbers and times are texts."""

    _stream_field: ClassVar[str] = "stream_id"
    """Name of the field with the id of the stream."""
    _number_field: ClassVar[str] = "sequence_number"
    """Name of the field with the number of a message."""

    def __init__(self, request: StreamRequest) -> None:
        super().__init__(request)
        self._templates: dict[str, bytes] = {}
        """Media messages by track, to be filled with number, chunk, timestamp and payload."""

    def mark(self, name: str, cleared: bool, now_ms: int) -> Messages:
        """Return `mark`, also for a mark whose audio was cleared."""
        return (self._message("mark", {"name": name}),)

    def _values(self, message: dict[str, Any], now_ms: int) -> Values:
        if message.get(self._stream_field, self._request.stream) != self._request.stream:
            return (Misdirected(),)
        match message.get("event"):
            case "media":
                return (Audio(audio(child(message, "media"))),)
            case "mark":
                return (PlaceMark(text(child(message, "mark"), "name")),)
            case "clear":
                return (Clear(),)
        raise MalformedError("event: must be media, mark or clear", field="event")

    def _message(self, event: str, part: dict[str, Any]) -> bytes:
        return encode(
            {
                "event": event,
                self._number_field: str(self._next()),
                self._stream_field: self._request.stream,
                event: part,
            }
        )

    def _media(self, frame: int, audio: bytes, track: str = "") -> bytes:
        """Return `media`, with the track where one is given; its time is milliseconds of the stream."""
        template = self._templates.get(track)
        if template is None:
            template = self._templates[track] = self._template(track)
        return template % (self._next(), frame + 1, frame * self.traits.frame_ms, b64encode(audio))

    def _template(self, track: str) -> bytes:
        return (
            b'{"event":"media",%b:"%%d",%b:%b,"media":{%b"chunk":"%%d","timestamp":"%%d","payload":"%%b"}}'
            % (
                fixed(self._number_field),
                fixed(self._stream_field),
                fixed(self._request.stream),
                b'"track":%b,' % fixed(track) if track else b"",
            )
        )
