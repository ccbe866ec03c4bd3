"""Times of a vendor in times of the stream: the vendor also counts the silence that was added for it."""

from collections import deque

MOST = 256
"""Marks kept; a time before the oldest is measured from the oldest."""


class AudioTimeline:
    """Follows the audio sent over one connection. Pure."""

    def __init__(self) -> None:
        self._sent_ms = 0.0
        self._marks: deque[tuple[float, float]] = deque(maxlen=MOST)

    @property
    def sent_ms(self) -> float:
        """Audio sent so far, silence included."""
        return self._sent_ms

    def sent(self, stream_ms: float, length_ms: float) -> None:
        """Note that audio of the stream was sent.

        Args:
            stream_ms: where it begins in the stream.
            length_ms: its length.
        """
        offset = stream_ms - self._sent_ms
        if not self._marks or abs(self._marks[-1][1] - offset) > 0.5:
            self._marks.append((self._sent_ms, offset))
        self._sent_ms += length_ms

    def added(self, length_ms: float) -> None:
        """Note that silence was sent which is not of the stream."""
        self._sent_ms += length_ms

    def stream_ms(self, vendor_ms: float) -> int:
        """Return the moment of the stream for a moment of the vendor."""
        offset = self._marks[0][1] if self._marks else 0.0
        for at_ms, mark in self._marks:
            if at_ms > vendor_ms:
                break
            offset = mark
        return max(round(vendor_ms + offset), 0)
