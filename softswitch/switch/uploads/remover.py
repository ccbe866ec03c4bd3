"""Deletes the objects of recordings that were deleted here, again until the storage has done it.

Which ones wait is in the database: they are noted with the deletion of the recording, so that a restart goes
on with them, and none is given up. An operator hears of those that cannot be deleted from /readyz.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable

from softswitch.egress import EgressError
from softswitch.errors import UnavailableError
from softswitch.metrics import Metrics
from softswitch.store.store import Removal, Store
from softswitch.switch.uploads.bucket import StorageError
from softswitch.switch.uploads.uploader import FIRST_PAUSE_S, LONGEST_PAUSE_S, LOOK_S, PAGE, Storage

logger = logging.getLogger(__name__)

WARN_AFTER = 3
"""Failures in a row from which on /readyz warns."""


class Remover:
    """Deletes objects for one process. Several processes may do the same: a second deletion is no error."""

    def __init__(
        self, storage: Storage, store: Store, metrics: Metrics, clock: Callable[[], float] = time.time
    ) -> None:
        """Prepare; ``clock`` returns epoch seconds."""
        self._storage, self._store, self._metrics, self._clock = storage, store, metrics, clock
        self._failures = 0
        """Failures in a row."""
        self._error = ""
        self._to_do = asyncio.Event()

    def wake(self) -> None:
        """Note that an object is to be deleted."""
        self._to_do.set()

    def warnings(self) -> list[str]:
        """Return what an operator should hear of."""
        if self._failures < WARN_AFTER:
            return []
        return [f"upload: objects of deleted recordings are still in the storage: {self._error}"]

    async def run(self) -> None:
        """Delete until cancelled."""
        while True:
            self._to_do.clear()
            pause = await self.remove_waiting()
            if self._failures:
                await asyncio.sleep(pause)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._to_do.wait()

    async def remove_waiting(self) -> float:
        """Delete what waits, up to the first failure; return the seconds until the next round."""
        now_ms = int(self._clock() * 1000)
        try:
            page = await self._store.removals(PAGE, now_ms + 1)
            self._metrics.removals_waiting.set(len(page))
            for removal in page:
                await self._remove(removal)
                self._failures = 0
        except (StorageError, EgressError) as error:
            self._metrics.removals.labels("retried").inc()
            return self._failed(str(error))
        except UnavailableError as error:
            return self._failed(f"the database cannot be read: {error}")
        self._metrics.removals_waiting.set(0)
        return 0.0 if len(page) == PAGE else LOOK_S

    # --- inside -------------------------------------------------------------------------

    async def _remove(self, removal: Removal) -> None:
        name = self._storage.name_of(removal.name, removal.account, removal.created_at)
        url = removal.url or self._storage.url_of(name)
        # A later recording may have the name of a deleted one, and then the object is its own.
        if await self._store.uploaded_to(removal.name) != url:
            try:
                await self._storage.delete(url)
            except (StorageError, EgressError) as error:
                logger.warning(
                    "the object of a deleted recording is not deleted yet",
                    extra={"file": removal.name, "reason": str(error)},
                )
                await self._store.removal_tried(removal.name, int(self._clock() * 1000))
                raise
            self._metrics.removals.labels("deleted").inc()
        await self._store.removed(removal.name)

    def _failed(self, error: str) -> float:
        self._failures += 1
        self._error = error
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures - 1, 16))
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads the tries of several switches
