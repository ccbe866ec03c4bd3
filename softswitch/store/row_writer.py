"""Writing of rows to a database that may be away: what it does not take is kept, and written later."""

import logging
import time
from collections.abc import Callable, Sequence
from itertools import compress

from softswitch.errors import UnavailableError
from softswitch.store.database import Row, Writing
from softswitch.store.spool import Spool
from softswitch.store.store import Counters
from softswitch.store.tables import KEPT
from softswitch.store.word_index import with_words

logger = logging.getLogger(__name__)

RETRY_S = 1.0
"""Seconds after a failure of the database in which rows are kept without trying it; a probe tries it."""


class RowWriter:
    """Writes rows, or keeps those that may not be lost in a spool; belongs to the writing thread."""

    def __init__(
        self, database: Writing, spool: Spool, counters: Counters, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Write to a database that is opened and closed elsewhere, as is the spool.

        Args:
            database: writing side.
            spool: keeps rows while the database is away.
            counters: counts the rows written, kept and lost.
            clock: monotonic seconds.
        """
        self._database, self._spool, self._counters, self._clock = database, spool, counters, clock
        self._retry_at = 0.0

    @property
    def is_away(self) -> bool:
        """Whether the database failed when it was last tried."""
        return self._retry_at != 0.0

    def write(self, rows: Sequence[Row], *, probing: bool) -> list[bool]:
        """Write rows, or keep them if the database fails; return for each whether it is stored or kept.

        Args:
            rows: the rows.
            probing: tries a database that has just failed.
        """
        if not rows:
            return []
        if self._retry_at and not probing and self._clock() < self._retry_at:
            return self._keep(rows)
        try:
            self.replay()
            stored = self._store(rows)
        except UnavailableError as error:
            if self._retry_at == 0.0:
                logger.warning("the database fails; records are kept", extra={"reason": str(error)})
            self._retry_at = self._clock() + RETRY_S
            return self._keep(rows)
        self._retry_at = 0.0
        counted = [good for row, good in zip(rows, stored, strict=True) if row.statement in KEPT]
        self._counters.rows_written += sum(counted)
        self._counters.rows_lost += len(counted) - sum(counted)
        return stored

    def replay(self) -> None:
        """Write the rows that were kept.

        Raises:
            UnavailableError: The database is away.
        """
        if not len(self._spool):
            return
        stored, lost = self._spool.replay(self._store)
        self._counters.rows_written += stored
        self._counters.rows_lost += lost
        logger.info(
            "records that waited for the database are written", extra={"stored": stored, "lost": lost}
        )

    def _store(self, rows: Sequence[Row]) -> list[bool]:
        """Write rows, and the words of transcripts among them; raises `UnavailableError`."""
        complete, given = with_words(rows)
        return list(compress(self._database.write(complete), given))

    def _keep(self, rows: Sequence[Row]) -> list[bool]:
        kept = self._spool.add(rows)
        self._counters.rows_spooled += sum(kept)
        self._counters.rows_lost += sum(
            row.statement in KEPT and not good for row, good in zip(rows, kept, strict=True)
        )
        return kept
