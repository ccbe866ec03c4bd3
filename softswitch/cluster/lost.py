"""What is done for a node that is lost: one of the others ends its calls and closes its records."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from softswitch.bus.bus import Bus, BusError
from softswitch.errors import UnavailableError
from softswitch.log.tasks import Tasks

logger = logging.getLogger(__name__)

LEASE_S = 20.0
"""Lifetime of the lease under which a node is cleared, in seconds."""
WAIT_S = 0.05
"""Longest wait before the lease is asked for, in seconds: not all nodes ask at once."""
TRIES = 3

Act = Callable[[str, dict[str, bytes]], Awaitable[None]]
"""Does something for a lost node: its name, and its entries by key."""


class LostNodes:
    """Clears lost nodes."""

    def __init__(self, bus: Bus) -> None:
        """Begin to watch."""
        self._bus = bus
        self._tasks = Tasks("cluster")
        self.acts: list[Act] = []
        self.cleared = 0
        """Nodes that this one has cleared."""
        bus.on_lost(self._lost)

    def _lost(self, node: str) -> None:
        self._tasks.spawn(self._clear(node), name="clear a node")

    def stop(self) -> None:
        """Stop; what was begun is left to others."""
        self._tasks.cancel()

    async def _clear(self, node: str) -> None:
        for attempt in range(TRIES):
            try:
                await asyncio.sleep(random.uniform(0, WAIT_S) + attempt)  # noqa: S311 - spreads requests
                await self._clear_once(node)
            except (BusError, UnavailableError) as error:
                logger.warning("a lost node is not cleared yet", extra={"node": node, "error": str(error)})
            else:
                return

    async def _clear_once(self, node: str) -> None:
        lease = await self._bus.lease(f"clear:{node}", LEASE_S)
        if lease is None:
            return
        entries = {entry.key: entry.value for entry in await self._bus.tombstones(node)}
        for act in self.acts:
            await act(node, entries)
        renewed = await self._bus.lease(lease.key, LEASE_S)
        if renewed is None or renewed.fence != lease.fence:
            # It took longer than the lease lasts: another node may be at it, and clears the entries itself.
            raise BusError(f"the lease to clear the node {node} was lost")
        await self._bus.clear(node)
        await self._bus.release(lease)
        self.cleared += 1
        logger.info("a node is gone; its calls are ended", extra={"node": node, "entries": len(entries)})
