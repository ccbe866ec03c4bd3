"""Interface of a leg's media transports (plain, DTLS, ICE), and the tasks that live as long as they do."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Protocol

from softswitch.flags import Flag
from softswitch.legs.sip.media.shared import MediaOwner
from softswitch.sdp import Description, Keying, Media, OwnTransport

logger = logging.getLogger(__name__)

GOODBYE_S = 2.0
"""Time after the peer's DTLS close in which a BYE may come, in seconds: it has the reason. Some peers close
an association only to start another."""

Spawn = Callable[[Coroutine[None, None, None]], None]
"""Starts a task that ends with the leg."""


class MediaTransport(Protocol):
    """Sockets and keys of one leg: `open`, then `take` and `connect` for each description of the peer."""

    async def open(self, *, offering: bool) -> None:
        """Open the sockets, for an offer or an answer of the switch.

        Raises:
            NotNowError: no socket is free.
        """

    def serves(self, keying: Keying) -> bool:
        """Tell whether this transport supports a keying."""

    def offered(self) -> OwnTransport:
        """Return the transport parameters of an offer."""

    def answered(self, profile: str) -> OwnTransport:
        """Return the transport parameters of an answer to the description taken last."""

    async def take(self, description: Description, media: Media, keying: Keying, *, answer: bool) -> None:
        """Read the peer's address and keys; `connect` applies them.

        Args:
            description: the peer's description.
            media: its audio section.
            keying: keying of that section.
            answer: the description answers an offer of the switch.

        Raises:
            PeerError: a needed part is missing or malformed.
        """

    async def restart(self, present: frozenset[str]) -> bool:
        """Prepare an offer of another path where the one in use begins at an address that is gone.

        Args:
            present: the addresses of this machine.

        Returns:
            False: there is nothing to offer.

        Raises:
            NotNowError: no socket is free.
        """

    async def withdraw(self) -> None:
        """Drop what was prepared for an offer that was refused."""

    def connect(self) -> None:
        """Apply the description taken last; the port is open in the engine."""

    @property
    def path(self) -> str:
        """Return the way of the media in words: local and remote address; "" while unknown."""

    async def close(self) -> None:
        """Release everything."""


class MediaTasks:
    """The tasks of one leg's media, and the transports that are closed after them."""

    def __init__(self, port: int, owner: MediaOwner) -> None:
        """Prepare; `owner` gets the failure of a task."""
        self.transports: list[MediaTransport] = []
        self._port = port
        self._owner: MediaOwner | None = owner
        self._task: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._begun = Flag()
        self._spawned: set[asyncio.Task[None]] = set()
        self._over = Flag()

    async def begin(self) -> None:
        """Allow tasks from now on; not needed before a transport that starts none is adopted."""
        if self._task is None:
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._live(), name=f"sip media {self._port}")
            self._task.add_done_callback(self._died)
        # Also where another caller started the task and was cancelled while it waited here.
        await self._begun.wait()

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Start a task that ends with the leg; after the end, do nothing."""
        if self.is_over:
            work.close()
            return
        if self._tasks is None:
            raise RuntimeError("begin() was not called")
        task = self._tasks.create_task(work)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    def adopt(self, transport: MediaTransport) -> bool:
        """Close a transport at the end; False where the end has come already."""
        if not self.is_over:
            self.transports.append(transport)
        return not self.is_over

    def end(self) -> None:
        """Cancel all tasks and close all transports; no event is reported afterwards."""
        self._over.set()
        self._owner = None
        if self._task is None and self.transports:
            self._task = asyncio.get_running_loop().create_task(self._close(), name=f"sip media {self._port}")
            self._task.add_done_callback(self._died)

    @property
    def is_over(self) -> bool:
        """Tell whether `end` was called."""
        return self._over.is_set()

    async def ended(self) -> None:
        """Return when everything is released."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _live(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._begun.set()
                await self._over.wait()
                for task in self._spawned:
                    task.cancel()
        finally:
            self._tasks = None
            await self._close()

    async def _close(self) -> None:
        while self.transports:
            await self.transports.pop().close()

    def _died(self, task: asyncio.Task[None]) -> None:
        """End the leg whose media task failed; other legs go on."""
        self._task = None
        self._begun.clear()
        if not task.cancelled() and (error := task.exception()):
            logger.error("the media of a SIP leg failed", extra={"port": self._port}, exc_info=error)
            if self._owner is not None:
                self._owner.media_failed("media", "internal error", 500)
