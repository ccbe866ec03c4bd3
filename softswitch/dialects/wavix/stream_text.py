"""Messages of the switch on a Wavix stream, as bytes, numbered (source document: Wavix call streaming)."""

from typing import Final

import msgspec
from pybase64 import b64encode

from softswitch.call.interfaces import Numbers
from softswitch.legs.stream.dialect import CHUNK, NUMBER, PAYLOAD, STAMP, TIME, MediaWords
from softswitch.protocol import wavix_stream as w

FRAME_MS: Final = 20
RATE: Final = 24000
FRAME_BYTES: Final = 960
"""20 ms of PCM16 at 24 kHz."""

_encode = msgspec.json.Encoder().encode


class _Own:
    """Numbers that nothing else takes."""

    def __init__(self) -> None:
        self.number = self.chunk = 0

    def claim(self) -> None:
        """Do nothing."""


class StreamText:
    """Writer of the messages of one stream; its counters go on across connections."""

    def __init__(self, call_id: str, stream_id: str, *, ticks: bool = False) -> None:
        """Begin to count.

        Args:
            call_id: Id of the call.
            stream_id: Id of the stream.
            ticks: Whether timestamps count 24 kHz samples instead of milliseconds.
        """
        self._call_id, self._stream_id = call_id, stream_id
        self._step = RATE * FRAME_MS // 1000 if ticks else FRAME_MS
        self._numbers: Numbers = _Own()
        # Media messages, fifty a second for each track, are formatted from a template: faster than encoding.
        self._media: dict[w.Direction, bytes] = {
            "inbound": self._template("inbound"),
            "outbound": self._template("outbound"),
        }

    def media_words(self, track: w.Direction) -> MediaWords:
        """Return how compiled code writes :meth:`media`."""
        return MediaWords(self._words(track), self._step)

    def count_with(self, numbers: Numbers) -> None:
        """Count in another place from now on."""
        numbers.number, numbers.chunk = self._numbers.number, self._numbers.chunk
        self._numbers = numbers

    def connected(self, time: str) -> bytes:
        """Return `connected`, the first message of a connection."""
        return _encode(w.Connected(event_time=time))

    def start(
        self, time: str, stream_type: w.StreamType, channel: w.Channel, extra: w.StartExtra | None = None
    ) -> bytes:
        """Return `start`, the second message of a connection.

        Args:
            time: Moment of the event.
            stream_type: Whether the service only listens, or may speak.
            channel: The channel that was requested.
            extra: Fields of the extra `start`.
        """
        more = {} if extra is None else msgspec.structs.asdict(extra) | {"media_format": w.MediaFormat()}
        start = w.Start(
            event_time=time,
            call_id=self._call_id,
            stream_id=self._stream_id,
            stream_type=stream_type,
            channel=channel,
            sequence_number=self._next(),
            **more,
        )
        return _encode(start)

    def media(self, time: bytes, track: w.Direction, frame: int, pcm: bytes) -> bytes:
        """Return `media`: 20 ms of a track.

        Args:
            time: Moment of the event, ASCII.
            track: Direction of the audio.
            frame: Number of these 20 ms in the stream, from 0.
            pcm: 960 bytes.
        """
        number, chunk = self._next(), self._numbers.chunk + 1
        self._numbers.chunk = chunk
        return self._media[track] % (time, number, b64encode(pcm), frame * self._step, chunk)

    def mark(self, time: str, name: str, status: w.MarkStatus | None = None) -> bytes:
        """Return `mark`: it was passed or cleared; ``status`` is sent where it is given."""
        return _encode(
            w.Mark(
                event_time=time,
                call_id=self._call_id,
                stream_id=self._stream_id,
                sequence_number=self._next(),
                mark=w.MarkPart(name=name, status=status),
            )
        )

    def dtmf(self, time: str, digit: str) -> bytes:
        """Return `dtmf`: the party pressed a key."""
        return _encode(
            w.Dtmf(
                event_time=time,
                call_id=self._call_id,
                stream_id=self._stream_id,
                sequence_number=self._next(),
                dtmf=w.DtmfPart(digit=digit),
            )
        )

    def stop(self, time: str) -> bytes:
        """Return `stop`, the last message of a stream."""
        return _encode(
            w.Stop(
                event_time=time,
                call_id=self._call_id,
                stream_id=self._stream_id,
                sequence_number=self._next(),
            )
        )

    def _next(self) -> int:
        numbers = self._numbers
        numbers.claim()
        numbers.number += 1
        return numbers.number

    def _words(self, track: w.Direction) -> bytes:
        """Return a media message with places for its values."""
        ids = b'"call_id":' + _encode(self._call_id) + b',"stream_id":' + _encode(self._stream_id)
        part = b'"payload":"' + PAYLOAD + b'","track":"' + track.encode() + b'","timestamp":' + STAMP
        return (
            b'{"event":"media","event_time":"' + TIME + b'",' + ids + b',"sequence_number":' + NUMBER
            + b',"media":{' + part + b',"chunk":' + CHUNK + b"}}"
        )  # fmt: skip

    def _template(self, track: w.Direction) -> bytes:
        """Return the same for formatting, which percent signs of the ids survive."""
        template = self._words(track).replace(b"%", b"%%")
        for place, form in ((TIME, b"%b"), (NUMBER, b"%d"), (PAYLOAD, b"%b"), (STAMP, b"%d"), (CHUNK, b"%d")):
            template = template.replace(place, form)
        return template
