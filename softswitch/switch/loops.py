"""Sounds that play over and over: decoded once, shared by all calls that want them."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from softswitch.errors import SoftswitchError

BOUND = 64 * 1024 * 1024
"""Bytes of audio kept for all calls together."""
LONGEST = 24000 * 2 * 120
"""Bytes of one sound that is kept: two minutes at the bus's rate; longer ones are decoded as they sound."""

Decode = Callable[[int], AsyncIterator[bytes]]
"""Start decoding at an offset in milliseconds; the pieces are a second long, but for the last."""


class _Sound:
    """One sound, complete or still being decoded."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.is_whole = False
        self.is_over = False
        """Nothing more is decoded, for whichever reason."""
        self.error: Exception | None = None
        self.task: asyncio.Task[None] | None = None
        self._grown = asyncio.Event()

    async def decode(self, decode: Decode) -> None:
        """Fill it, until it is complete or too long to be kept."""
        try:
            async for piece in decode(0):
                self.pieces.append(piece)
                self.size += len(piece)
                self.grown()
                if self.size > LONGEST:
                    return
            self.is_whole = True
        except (SoftswitchError, OSError, ValueError) as error:
            self.error = error

    def grown(self) -> None:
        """Wake whoever waits for the next piece."""
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    async def wait(self) -> None:
        """Return when there is more, or the end."""
        await self._grown.wait()


class Loops:
    """Keeps decoded sounds by what they were decoded from, the least used going first."""

    def __init__(self) -> None:
        """Start empty."""
        self._kept: OrderedDict[bytes, _Sound] = OrderedDict()
        self._size = 0

    async def pieces(self, key: bytes, decode: Decode) -> AsyncIterator[bytes]:
        """Yield the pieces of a sound; however many calls begin it at once, it is decoded for all of them.

        Args:
            key: What tells it from others: the digest of the file.
            decode: Starts decoding.

        Raises:
            SoftswitchError, OSError, ValueError: What decoding raised.
        """
        sound = self._kept.get(key) or self._begin(key, decode)
        if key in self._kept:
            self._kept.move_to_end(key)
        given = 0
        while True:
            if given < len(sound.pieces):
                yield sound.pieces[given]
                given += 1
            elif not sound.is_over:
                await sound.wait()
            else:
                break
        if sound.error is not None:
            raise sound.error
        if not sound.is_whole:
            async for piece in decode(given * 1000):
                yield piece

    def _begin(self, key: bytes, decode: Decode) -> _Sound:
        sound = self._kept[key] = _Sound()
        decoding = self._decode(key, sound, decode)
        sound.task = asyncio.get_running_loop().create_task(decoding, name="decode a loop")
        return sound

    async def _decode(self, key: bytes, sound: _Sound, decode: Decode) -> None:
        """Keep what is complete; the others were for those who waited, and the next one begins afresh."""
        try:
            await sound.decode(decode)
        finally:
            sound.is_over = True
            if sound.is_whole and sound.size:
                self._keep(sound)
            else:
                self._kept.pop(key, None)
            sound.grown()

    def _keep(self, sound: _Sound) -> None:
        self._size += sound.size
        while self._size > BOUND:
            oldest = next(item for item, kept in self._kept.items() if kept.is_whole)
            self._size -= self._kept.pop(oldest).size
