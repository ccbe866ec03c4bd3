"""The phrases already spoken, so that a greeting is synthesised once."""

from collections import OrderedDict

import msgspec


class Spoken(msgspec.Struct, frozen=True):
    """A piece of synthesised speech, and the words that are now known to begin somewhere in its sentence."""

    pcm: bytes
    """PCM16 little-endian mono; may be empty."""
    sample_rate: int
    """Hz."""
    words: tuple[tuple[str, int], ...] = ()
    """Word and milliseconds from the beginning of the sentence."""


Key = tuple[str | float, ...]
"""Provider, voice, everything else that changes the sound, and the text."""


class PhraseCache:
    """Whole sentences by what makes their sound; the least recently used go first."""

    def __init__(self, max_bytes: int) -> None:
        """Begin empty; 0 bytes keep nothing."""
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Key, tuple[Spoken, ...]] = OrderedDict()
        self.bytes = 0
        """Audio kept."""
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> tuple[Spoken, ...] | None:
        """Return a sentence, None where it is not kept."""
        found = self._entries.get(key)
        if found is None:
            self.misses += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return found

    def put(self, key: Key, pieces: tuple[Spoken, ...]) -> None:
        """Keep a sentence; one that would take more than a quarter of the room is not worth it."""
        size = _size(pieces)
        if size > self._max_bytes // 4:
            return
        old = self._entries.pop(key, ())
        self.bytes += size - _size(old)
        self._entries[key] = pieces
        while self.bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.bytes -= _size(oldest)


def _size(pieces: tuple[Spoken, ...]) -> int:
    return sum(len(piece.pcm) for piece in pieces)
