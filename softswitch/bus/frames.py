"""Frames between a worker and its supervisor, as msgpack arrays.

A reader ignores further elements, so that the next version may append some.
"""

import msgspec

from softswitch.bus.bus import Entry


class Frame(msgspec.Struct, array_like=True, omit_defaults=True):
    """One frame; which fields it uses depends on its kind."""

    kind: str
    id: int = 0
    """Number of a question, which its answer repeats; 0: there is no answer."""
    key: str = ""
    """Key, topic, or prefix."""
    value: bytes = b""
    node: str = ""
    number: float = 0.0
    """Lifetime in seconds, fence, load, or 1 for yes."""
    entries: list[Entry] = []
    names: list[str] = []


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def pack(frame: Frame) -> bytes:
    """Return a frame as octets."""
    return _encoder.encode(frame)


def unpack(data: bytes) -> Frame:
    """Return a frame from octets; raises msgspec.MsgspecError where they are none."""
    return _decoder.decode(data)
