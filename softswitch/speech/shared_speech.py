"""Equal sentences that several streams ask for at once are made once."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from softswitch.speech.phrases import Key, Spoken

Make = Callable[[], AsyncGenerator[Spoken, None]]


class _Making:
    """A sentence under way, and how many wait for it."""

    def __init__(self, make: Make) -> None:
        self.pieces: list[Spoken] = []
        self.listeners = 0
        self.failure: Exception | None = None
        self._news = asyncio.Event()
        self._over = False
        # Owned by the listeners: the last one that goes cancels it. What fails in it is raised to each of
        # them.
        self.task = asyncio.get_running_loop().create_task(self._run(make))

    async def _run(self, make: Make) -> None:
        try:
            async with aclosing(make()) as speech:
                async for piece in speech:
                    self.pieces.append(piece)
                    self._tell()
        except Exception as error:  # noqa: BLE001  (raised to each listener)
            self.failure = error
        finally:
            self._over = True
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def listen(self) -> AsyncGenerator[Spoken, None]:
        """Yield the pieces from the first one on, as they come."""
        index = 0
        while True:
            while index < len(self.pieces):
                yield self.pieces[index]
                index += 1
            if self._over:
                break
            await self._news.wait()
        if self.failure is not None:
            raise self.failure


class SharedSpeech:
    """What is being made, by what makes its sound."""

    def __init__(self) -> None:
        """Begin with nothing under way."""
        self._under_way: dict[Key, _Making] = {}
        self.shared = 0
        """Sentences that were not made because an equal one was under way."""

    def __len__(self) -> int:
        return len(self._under_way)

    async def speak(self, key: Key, make: Make) -> AsyncGenerator[Spoken, None]:
        """Yield a sentence, made anew only where no equal one is under way.

        Args:
            key: all that makes the sound of the sentence.
            make: speaks it; closed early when all listeners have gone.
        """
        making = self._under_way.get(key)
        if making is None:
            making = self._under_way[key] = _Making(make)
            making.task.add_done_callback(lambda _: self._under_way.pop(key, None))
        else:
            self.shared += 1
        making.listeners += 1
        try:
            async with aclosing(making.listen()) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            making.listeners -= 1
            if not making.listeners:
                making.task.cancel()
