"""Protocol between the switch and the process that encodes recordings: frames on a stream socket."""

import struct
from enum import IntEnum
from typing import NamedTuple

_HEAD = struct.Struct("<BIdQQI")
HEAD_BYTES = _HEAD.size


class Kind(IntEnum):
    """Type of a frame."""

    OPEN = 1
    """Request: begin or continue a file; `position` is the sample rate, the body is the path."""
    PCM = 2
    """Request: encode the body."""
    CLOSE = 3
    """Request: complete the file."""
    OPENED = 4
    """Answer to OPEN: the file is complete up to `position`."""
    WRITTEN = 5
    """Answer to PCM: the file is complete up to `position`."""
    CLOSED = 6
    """Answer to CLOSE: the file is complete."""
    FAILED = 7
    """Answer to any request: the file failed, the body is the reason; no answers follow for this file."""


class Frame(NamedTuple):
    """One request or answer."""

    kind: Kind
    file: int
    stamp: float = 0.0
    """Monotonic seconds at which the PCM was queued; the clock is common to all processes of the machine."""
    position: int = 0
    """Samples of each side that are in the file."""
    size: int = 0
    """Bytes in the file."""
    body: bytes = b""

    def packed(self) -> bytes:
        """Return the frame as octets."""
        head = _HEAD.pack(self.kind, self.file, self.stamp, self.position, self.size, len(self.body))
        return head + self.body


class Frames:
    """Parser of a stream of frames."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Append received octets; return the frames that are complete now.

        Raises:
            ValueError: the type of a frame is unknown.
        """
        self._waiting += data
        found, at = [], 0
        while len(self._waiting) - at >= HEAD_BYTES:
            kind, file, stamp, position, size, octets = _HEAD.unpack_from(self._waiting, at)
            end = at + HEAD_BYTES + octets
            if end > len(self._waiting):
                break
            body = bytes(self._waiting[at + HEAD_BYTES : end])
            found.append(Frame(Kind(kind), file, stamp, position, size, body))
            at = end
        del self._waiting[:at]
        return found
