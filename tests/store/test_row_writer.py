"""Rows are written, or kept while the database is away and written once it is back."""

from pathlib import Path

from softswitch.store.row_writer import RETRY_S, RowWriter
from softswitch.store.store import Counters
from tests.store.test_spool import FakeDatabase, call, spool


class Clock:
    """Monotonic seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rows_are_kept_while_the_database_is_away_and_written_in_their_order(tmp_path: Path) -> None:
    database, counters, clock = FakeDatabase(batches=0), Counters(), Clock()
    kept = spool(tmp_path)
    writer = RowWriter(database, kept, counters, clock)
    assert writer.write([call(1)], probing=False) == [True]
    assert (writer.is_away, len(kept), counters.rows_spooled) == (True, 1, 1)
    database.batches = 10**9
    clock.now += RETRY_S / 2
    # Within the pause the database is not tried, but by a probe.
    assert writer.write([call(2)], probing=False) == [True]
    assert (writer.is_away, database.rows) == (True, [])
    assert writer.write([call(3)], probing=True) == [True]
    assert [row.values[0] for row in database.rows] == ["c1", "c2", "c3"]
    assert (writer.is_away, len(kept), counters.rows_written, counters.rows_lost) == (False, 0, 3, 0)


def test_database_is_tried_again_after_the_pause(tmp_path: Path) -> None:
    database, clock = FakeDatabase(batches=0), Clock()
    writer = RowWriter(database, spool(tmp_path), Counters(), clock)
    writer.write([call(1)], probing=False)
    database.batches, clock.now = 10**9, clock.now + RETRY_S
    writer.write([call(2)], probing=False)
    assert [row.values[0] for row in database.rows] == ["c1", "c2"]
    assert not writer.is_away


def test_nothing_is_written_for_no_rows(tmp_path: Path) -> None:
    database = FakeDatabase(batches=0)
    writer = RowWriter(database, spool(tmp_path), Counters(), Clock())
    assert writer.write([], probing=True) == []
    assert not writer.is_away
