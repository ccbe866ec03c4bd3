"""What the media of a leg ask of the way they take: plain sockets, DTLS on sockets, or ICE; and its life."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Protocol

from softswitch.endpoints.sip.media_shared import MediaOwner
from softswitch.sdp import Description, Keying, Media, OwnTransport

logger = logging.getLogger(__name__)

GOODBYE_S = 2.0
"""How long a far end that closes DTLS may take for its BYE, seconds: that says why, and some close
an association only to begin another."""

Spawn = Callable[[Coroutine[None, None, None]], None]
"""Starts a task that ends with the leg."""


class Way(Protocol):
    """Sockets and keys of one leg; `open`, then `take` and `connect` for each description of the far end."""

    async def open(self, *, offering: bool) -> None:
        """Open the sockets, for an offer of ours or an answer.

        Raises:
            NotNowError: there is none.
        """

    def serves(self, keying: Keying) -> bool:
        """Tell whether this way can be keyed so."""

    def offered(self) -> OwnTransport:
        """Return what an offer of ours says."""

    def answered(self, profile: str) -> OwnTransport:
        """Return what our answer to the description taken last says."""

    async def take(self, description: Description, media: Media, keying: Keying, *, answer: bool) -> None:
        """Read where the far end is and its keys; nothing is done with it before `connect`.

        Args:
            description: theirs.
            media: its audio section.
            keying: how that is keyed.
            answer: it answers an offer of ours.

        Raises:
            PeerError: what is needed is missing or malformed.
        """

    def connect(self) -> None:
        """Go where the description taken last leads; the port is open in the engine."""

    async def close(self) -> None:
        """Release everything."""


class Life:
    """The tasks of one leg's media, and the ways to be closed after them."""

    def __init__(self, port: int, owner: MediaOwner) -> None:
        """Prepare a life that has not begun; `owner` is told when one of the tasks fails."""
        self.ways: list[Way] = []
        self._port = port
        self._owner: MediaOwner | None = owner
        self._task: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._spawned: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    async def begin(self) -> None:
        """Let tasks be started from now on."""
        if self._task is None:
            begun = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._live(begun), name=f"telephone media {self._port}")
            self._task.add_done_callback(self._died)
            await begun.wait()

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Start a task that ends with the leg; after that, none."""
        if self.is_over:
            work.close()
            return
        if self._tasks is None:
            raise RuntimeError("the leg's media do not live")
        task = self._tasks.create_task(work)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    def adopt(self, way: Way) -> bool:
        """Close a way when the life ends; False when it is over already."""
        if not self.is_over:
            self.ways.append(way)
        return not self.is_over

    def end(self) -> None:
        """Stop all tasks and close all ways; nobody is told anything any more."""
        self._over.set()
        self._owner = None

    @property
    def is_over(self) -> bool:
        """Tell whether it was ended."""
        return self._over.is_set()

    async def ended(self) -> None:
        """Return when everything is released."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _live(self, begun: asyncio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                begun.set()
                await self._over.wait()
                for task in self._spawned:
                    task.cancel()
        finally:
            self._tasks = None
            while self.ways:
                await self.ways.pop().close()

    def _died(self, task: asyncio.Task[None]) -> None:
        """Let a fault of ours be the end of this leg alone."""
        self._task = None
        if not task.cancelled() and (error := task.exception()):
            logger.error("the media of a telephone failed", extra={"port": self._port}, exc_info=error)
            if self._owner is not None:
                self._owner.media_failed("media", "internal error", 500)
