"""Deletes the objects of recordings that were deleted here, again until the storage has done it.

Which ones wait is in the database: they are noted with the deletion of the recording, so that a restart goes
on with them, and none is given up. An operator hears of those that cannot be deleted from /readyz.
"""

import logging
import time
from collections.abc import Callable

from softswitch.egress import EgressError
from softswitch.errors import UnavailableError
from softswitch.metrics import Metrics
from softswitch.store.store import Removal, Store
from softswitch.switch.rounds import Rounds
from softswitch.switch.uploads.bucket import StorageError
from softswitch.switch.uploads.uploader import LOOK_S, PAGE, Storage

logger = logging.getLogger(__name__)


class Remover:
    """Deletes objects for one process. Several processes may do the same: a second deletion is no error."""

    def __init__(
        self, storage: Storage, store: Store, metrics: Metrics, clock: Callable[[], float] = time.time
    ) -> None:
        """Prepare; ``clock`` returns epoch seconds."""
        self._storage, self._store, self._metrics, self._clock = storage, store, metrics, clock
        self._rounds = Rounds()

    def wake(self) -> None:
        """Note that an object is to be deleted."""
        self._rounds.wake()

    def warnings(self) -> list[str]:
        """Return what an operator should hear of."""
        return self._rounds.warnings("upload: objects of deleted recordings are still in the storage")

    async def run(self) -> None:
        """Delete until cancelled."""
        await self._rounds.run(self.remove_waiting)

    async def remove_waiting(self) -> float:
        """Delete what waits, up to the first failure; return the seconds until the next round."""
        now_ms = int(self._clock() * 1000)
        try:
            page = await self._store.records.removals(PAGE, now_ms + 1)
            self._metrics.removals_waiting.set(len(page))
            for removal in page:
                await self._remove(removal)
                self._rounds.succeeded()
        except (StorageError, EgressError) as error:
            self._metrics.removals.labels("retried").inc()
            return self._rounds.failed(str(error))
        except UnavailableError as error:
            return self._rounds.failed(f"the database cannot be read: {error}")
        self._metrics.removals_waiting.set(0)
        return 0.0 if len(page) == PAGE else LOOK_S

    # --- inside -------------------------------------------------------------------------

    async def _remove(self, removal: Removal) -> None:
        name = self._storage.name_of(removal.name, removal.account, removal.created_at)
        url = removal.url or self._storage.url_of(name)
        # A later recording may have the name of a deleted one, and then the object is its own.
        if await self._store.records.uploaded_to(removal.name) != url:
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
