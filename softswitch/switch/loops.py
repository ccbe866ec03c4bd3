"""Looped sounds: each is decoded once and shared by all calls that play it."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from softswitch.log.tasks import spawn

BOUND = 64 * 1024 * 1024
"""Bytes of decoded audio that are kept for all calls together."""
LONGEST = 24000 * 2 * 120
"""Most bytes of one sound that is kept: two minutes at 24 kHz. Longer ones are decoded while they play."""

Decode = Callable[[int], AsyncIterator[bytes]]
"""Starts decoding at an offset in milliseconds; every piece but the last is a second long."""


class _Sound:
    """One sound, complete or still being decoded."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.is_whole = False
        self.is_over = False
        """Whether decoding has ended: complete, too long or failed."""
        self.error: Exception | None = None
        self.task: asyncio.Task[None] | None = None
        self._grown = asyncio.Event()

    async def decode(self, decode: Decode) -> None:
        """Decode until the sound is complete or too long to be kept."""
        try:
            async for piece in decode(0):
                self.pieces.append(piece)
                self.size += len(piece)
                self.grown()
                if self.size > LONGEST:
                    return
            self.is_whole = True
        except Exception as error:  # noqa: BLE001  (each call that plays the sound raises it)
            self.error = error

    def grown(self) -> None:
        """Wake the calls that wait for the next piece."""
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    async def wait(self) -> None:
        """Wait until there is another piece, or decoding has ended."""
        await self._grown.wait()


class Loops:
    """Decoded sounds by the digest of their file; the least recently played is dropped first."""

    def __init__(self) -> None:
        """Start empty."""
        self._kept: OrderedDict[bytes, _Sound] = OrderedDict()
        self._size = 0

    async def pieces(self, key: bytes, decode: Decode) -> AsyncIterator[bytes]:
        """Yield the pieces of a sound, which is decoded once however many calls begin it together.

        Args:
            key: Digest of the file.
            decode: Starts decoding.

        Raises:
            Exception: The exception of decoding.
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
        sound.task = spawn(decoding, package="switch", name="decode a loop")
        return sound

    async def _decode(self, key: bytes, sound: _Sound, decode: Decode) -> None:
        """Decode a sound; keep it where it is complete, otherwise the next call decodes it anew."""
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
