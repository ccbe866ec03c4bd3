"""Sounds that play over and over: decoded once, shared by all calls that want them."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

BOUND = 64 * 1024 * 1024
"""Bytes of audio kept for all calls together."""
LONGEST = 24000 * 2 * 120
"""Bytes of one sound that is kept: two minutes at the bus's rate; longer ones are decoded as they sound."""


class Loops:
    """Keeps decoded sounds by what they were decoded from, the least used going first."""

    def __init__(self) -> None:
        """Start empty."""
        self._kept: OrderedDict[bytes, tuple[bytes, ...]] = OrderedDict()
        self._size = 0

    async def pieces(self, key: bytes, decode: Callable[[], AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
        """Yield the pieces of a sound, decoding it unless it is kept.

        Args:
            key: What tells it from others: the digest of the file.
            decode: Starts decoding.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            for piece in self._kept[key]:
                yield piece
            return
        pieces: list[bytes] = []
        size = 0
        async for piece in decode():
            size += len(piece)
            if size <= LONGEST:
                pieces.append(piece)
            yield piece
        if 0 < size <= LONGEST and key not in self._kept:
            self._keep(key, tuple(pieces), size)

    def _keep(self, key: bytes, pieces: tuple[bytes, ...], size: int) -> None:
        self._kept[key] = pieces
        self._size += size
        while self._size > BOUND:
            _, oldest = self._kept.popitem(last=False)
            self._size -= sum(map(len, oldest))
