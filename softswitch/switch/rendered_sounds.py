"""Sounds that the switch makes itself, for parties that wait; each is rendered once, in a thread."""

import asyncio
import logging
from collections.abc import Callable

import numpy as np

from softswitch.audio import hold_music
from softswitch.audio.pcm import BUS_RATE
from softswitch.audio.tone import RINGBACK

logger = logging.getLogger(__name__)


class RenderedSounds:
    """The default music on hold and the ringback tone: PCM16 mono at 24 kHz, to be repeated."""

    def __init__(self) -> None:
        """Start with nothing rendered."""
        self._rendered: dict[str, asyncio.Future[bytes]] = {}
        self._failed: set[str] = set()

    async def music(self) -> bytes:
        """Return one round of the default music on hold."""
        return await self._once("music", lambda: hold_music.render(BUS_RATE).tobytes())

    async def ringback(self) -> bytes:
        """Return one period of the ringback tone, which begins with the tone."""
        return await self._once("ringback", _ringback)

    def failed(self, path: str, error: Exception) -> None:
        """Log once that the file of the settings cannot be played; the default music is."""
        if path not in self._failed:
            self._failed.add(path)
            logger.warning(
                "[media] hold_music cannot be played: the default is",
                extra={"path": path, "error": str(error)},
            )

    async def _once(self, name: str, render: Callable[[], bytes]) -> bytes:
        work = self._rendered.get(name)
        if work is None:
            work = self._rendered[name] = asyncio.get_running_loop().run_in_executor(None, render)
        # Shielded: a call that ends while it waits must not cancel the work of all others.
        return await asyncio.shield(work)


def _ringback() -> bytes:
    pcm = RINGBACK.render(0, sum(RINGBACK.cadence_ms) * BUS_RATE // 1000)
    return np.rint(pcm).astype(np.int16).tobytes()
