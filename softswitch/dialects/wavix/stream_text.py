"""Messages of the switch on a Wavix stream, as bytes, numbered (source document: Wavix call streaming)."""

from typing import Final

import msgspec
from pybase64 import b64encode

from softswitch.protocol import wavix_stream as w

FRAME_MS: Final = 20
RATE: Final = 24000
FRAME_BYTES: Final = 960
"""20 ms of PCM16 at 24 kHz."""

_encode = msgspec.json.Encoder().encode


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
        self._number = 0
        self._chunk = 0
        # Media messages, fifty a second for each track, are formatted from a template: faster than encoding.
        self._media: dict[w.Direction, bytes] = {
            "inbound": self._template("inbound"),
            "outbound": self._template("outbound"),
        }

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
        self._number += 1
        self._chunk += 1
        return self._media[track] % (time, self._number, b64encode(pcm), frame * self._step, self._chunk)

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
        self._number += 1
        return self._number

    def _template(self, track: w.Direction) -> bytes:
        ids = b'"call_id":%b,"stream_id":%b' % (_escaped(self._call_id), _escaped(self._stream_id))
        return (
            b'{"event":"media","event_time":"%b",' + ids + b',"sequence_number":%d,"media":{"payload":"%b",'
            b'"track":"' + track.encode() + b'","timestamp":%d,"chunk":%d}}'
        )


def _escaped(text: str) -> bytes:
    """Return a text as JSON whose percent signs survive formatting."""
    return _encode(text).replace(b"%", b"%%")
