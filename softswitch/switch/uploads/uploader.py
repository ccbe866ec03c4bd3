"""Uploads finished recordings, the oldest first, and again until the storage has taken them.

Which recordings wait is in the database, so that a restart goes on with them; how often each was tried is
not. What waits is bounded by the space for recordings: where the storage is away until that is used up, new
recordings are refused as without an upload.
"""

import contextlib
import logging
import mimetypes
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, Protocol

from softswitch.egress import EgressError
from softswitch.errors import UnavailableError
from softswitch.metrics import Metrics
from softswitch.store.store import Recording, Store
from softswitch.switch.own_work import OwnWork
from softswitch.switch.rounds import Rounds
from softswitch.switch.uploads.bucket import StorageError

logger = logging.getLogger(__name__)

PAGE = 100
"""Recordings that are read from the database at once."""
LOOK_S = 60.0
"""Longest time between two looks for recordings that wait, seconds."""
GRACE_S = 30.0
"""Time after a recording in which its file stays here, for the transcript that is made of it, seconds."""
MOST_TRIES = 20
"""Tries of one recording while the storage takes others; then it has failed."""
LEFT_S = 900.0
"""Age from which on a recording of another worker of this machine was left behind, seconds."""
Outcome = Literal["uploaded", "failed", "retried", "absent"]


class Storage(Protocol):
    """Where recordings go."""

    def name_of(self, file: str, account: str, created_ms: int) -> str:
        """Return the name of a recording there."""

    def url_of(self, name: str) -> str:
        """Return the URL of what has a name there."""

    async def put(self, name: str, path: Path, kind: str) -> int:
        """Store a file; return its size in bytes. Raises OSError, EgressError and StorageError."""

    async def delete(self, url: str) -> None:
        """Delete what has a URL, if it is there. Raises EgressError and StorageError."""


class Uploader:
    """Uploads the recordings of one process."""

    def __init__(
        self,
        storage: Storage,
        store: Store,
        metrics: Metrics,
        *,
        delete_local: bool = False,
        is_shared: bool = False,
        on_orphan: Callable[[], None] | None = None,
        in_use: Callable[[str], bool] = lambda call: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            storage: Takes the recordings.
            store: Knows which ones wait.
            metrics: Counts uploads.
            delete_local: Whether files are deleted here afterwards.
            is_shared: Other workers of this machine upload recordings from the same folder.
            on_orphan: Called once the object of a recording that was deleted during its upload is to go;
                None: such objects stay.
            in_use: Tells whether the file of a call's recording is still needed here.
            clock: Epoch seconds.
        """
        self._storage, self._store, self._metrics = storage, store, metrics
        self._delete_local, self._is_shared, self._in_use, self._clock = (
            delete_local,
            is_shared,
            in_use,
            clock,
        )
        self._on_orphan = on_orphan
        self._own = OwnWork()
        """Names of the recordings of this process."""
        self._tries: dict[str, tuple[int, int]] = {}
        """By name of a recording: failures, and how many others were taken before the first one."""
        self._taken = 0
        self._rounds = Rounds()
        self._error = ""
        """Why the storage did not take the last recording that it refused."""

    def add(self, recording: Recording) -> None:
        """Note that a recording waits from now on."""
        self._own.add(recording.name)
        self._rounds.wake()

    def warnings(self) -> list[str]:
        """Return what an operator should hear of."""
        return self._rounds.warnings("upload")

    async def run(self) -> None:
        """Upload until cancelled."""
        await self._rounds.run(self.upload_waiting)

    async def upload_waiting(self) -> float:
        """Upload what waits, up to the first failure; return the seconds until the next round."""
        try:
            page = await self._store.records.waiting_uploads(PAGE, int(self._clock() * 1000) + 1)
        except UnavailableError as error:
            return self._rounds.failed(f"the database cannot be read: {error}")
        self._metrics.uploads_waiting.set(len(page))
        self._forget_tries({recording.name for recording in page})
        due = sorted(filter(self._is_due, page), key=lambda one: self._tries.get(one.name, (0, 0))[0])
        progress = False
        for recording in due:
            outcome = await self._upload(recording)
            if outcome != "absent":
                self._metrics.uploads.labels(outcome).inc()
            if outcome == "retried":
                return self._rounds.failed(self._error)
            if outcome != "absent":
                self._rounds.succeeded()
                progress = True
        if progress and len(page) == PAGE:
            return 0.0
        return GRACE_S if len(due) < len(page) else LOOK_S

    # --- inside -------------------------------------------------------------------------

    def _is_due(self, recording: Recording) -> bool:
        now = self._clock()
        ended = (recording.created_at + recording.duration_ms) / 1000
        if self._is_shared and recording.name not in self._own and now - ended < LEFT_S:
            return False
        if not self._delete_local:
            return True
        return now - ended >= GRACE_S and not self._in_use(recording.call_id)

    async def _upload(self, recording: Recording) -> Outcome:
        path = await self._store.recording_path(recording.name)
        if path is None:
            return "absent"  # It is on another machine, or was deleted; the next sweep sees to its record.
        name = self._storage.name_of(recording.name, recording.account, recording.created_at)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        try:
            size = await self._storage.put(name, path, kind)
        except FileNotFoundError:
            return "absent"
        except (StorageError, EgressError, OSError) as error:
            return await self._not_taken(recording, error)
        self._metrics.uploaded_bytes.inc(size)
        self._taken += 1
        self._own.remove(recording.name)
        url = self._storage.url_of(name)
        stored = await self._store.set_upload(recording.name, "uploaded", url)
        if stored and self._delete_local:
            await self._store.drop_file(recording.name)
        if stored and self._on_orphan is not None:
            with contextlib.suppress(UnavailableError):
                if await self._store.records.uploaded_to(recording.name) is None:
                    await self._store.remove_object(recording, url)
                    self._on_orphan()
        return "uploaded"

    async def _not_taken(self, recording: Recording, error: Exception) -> Outcome:
        tries, before = self._tries.get(recording.name, (0, self._taken))
        self._tries[recording.name] = tries + 1, before
        hopeless = tries + 1 >= MOST_TRIES and self._taken > before
        self._error = str(error)
        if (isinstance(error, StorageError) and error.final) or hopeless:
            logger.error("a recording is not uploaded", extra={"file": recording.name, "reason": self._error})
            await self._store.set_upload(recording.name, "failed")
            return "failed"
        logger.warning(
            "a recording is not uploaded yet", extra={"file": recording.name, "reason": self._error}
        )
        return "retried"

    def _forget_tries(self, waiting: Collection[str]) -> None:
        self._tries = {name: tries for name, tries in self._tries.items() if name in waiting}
