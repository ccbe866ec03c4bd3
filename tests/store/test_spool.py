"""Rows that wait for the database."""

import random
from pathlib import Path

import msgspec
import pytest

from softswitch.errors import UnavailableError
from softswitch.store import CallRecord
from softswitch.store.database import Row
from softswitch.store.spool import Spool
from softswitch.store.tables import DELETE_RECORDING, NOTHING, SAVE_CALL


def call(number: int) -> Row:
    record = CallRecord(id=f"c{number}", kind="websocket", created_at=number)
    return Row(SAVE_CALL, (*msgspec.structs.astuple(record), "node", "incarnation"))


class FakeDatabase:
    """A database that fails after a number of batches."""

    def __init__(self, batches: int = 10**9) -> None:
        self.rows: list[Row] = []
        self.batches = batches

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def write(self, rows):
        if self.batches == 0:
            raise UnavailableError("away")
        self.batches -= 1
        self.rows += rows
        return [True] * len(rows)


def spool(path: Path, disk: int = 10**6, memory: int = 10**6) -> Spool:
    made = Spool(path / "spool.jsonl", disk_bytes=disk, memory_bytes=memory)
    made.open()
    return made


def test_rows_survive_the_process_in_their_order(tmp_path: Path) -> None:
    rows = [call(number) for number in range(600)] + [Row(DELETE_RECORDING, ("a.wav",))]
    first = spool(tmp_path)
    assert all(first.add(rows[:300]))
    assert all(first.add(rows[300:]))
    second = spool(tmp_path)
    assert len(second) == 601
    database = FakeDatabase()
    assert second.replay(database.write) == (601, 0)
    assert database.rows == rows
    assert (len(second), second.size, list(tmp_path.iterdir())) == (0, 0, [])


def test_database_that_fails_in_the_middle_gets_the_rest_later(tmp_path: Path) -> None:
    rows = [call(number) for number in range(600)]
    waiting = spool(tmp_path)
    waiting.add(rows)
    database = FakeDatabase(batches=1)
    with pytest.raises(UnavailableError):
        waiting.replay(database.write)
    assert len(waiting) == 600 - len(database.rows)
    waiting.add([call(600)])
    database.batches = 10**9
    waiting.replay(database.write)
    assert database.rows == [*rows, call(600)]


def test_full_disk_moves_rows_to_memory_and_keeps_their_order(tmp_path: Path) -> None:
    waiting = spool(tmp_path, disk=2000)
    rows = [call(number) for number in range(20)]
    for row in rows:
        assert waiting.add([row]) == [True]
    assert 0 < waiting.in_memory < 20
    assert (tmp_path / "spool.jsonl").stat().st_size <= 2000
    database = FakeDatabase()
    waiting.replay(database.write)
    assert database.rows == rows


def test_folder_that_cannot_be_written_leaves_memory(tmp_path: Path) -> None:
    waiting = Spool(tmp_path / "missing" / "spool.jsonl", disk_bytes=10**6)
    assert waiting.add([call(1)]) == [True]
    assert waiting.in_memory == 1


def test_both_bounds_hold_and_lost_rows_are_told(tmp_path: Path) -> None:
    waiting = spool(tmp_path, disk=2000, memory=2000)
    kept = [good for number in range(100) for good in waiting.add([call(number)])]
    assert waiting.size <= 4000
    assert kept.count(True) == len(waiting)
    assert False in kept
    database = FakeDatabase()
    waiting.replay(database.write)
    assert database.rows == [call(number) for number in range(kept.count(True))]


def test_statement_that_is_not_kept_and_broken_text_are_lost_alone(tmp_path: Path) -> None:
    broken = Row(SAVE_CALL, ("\ud800", *call(1).values[1:]))
    waiting = spool(tmp_path)
    assert waiting.add([Row(NOTHING), broken, call(2)]) == [False, False, True]


def test_line_that_was_cut_off_or_damaged_costs_itself(tmp_path: Path) -> None:
    waiting = spool(tmp_path)
    waiting.add([call(1)])
    path = tmp_path / "spool.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"{}\n" + b'["unknown",{}]\n' + b"\xff\n" + whole + whole[:-10])
    again = spool(tmp_path)
    assert len(again) == 4
    database = FakeDatabase()
    assert again.replay(database.write) == (1, 3)
    assert database.rows == [call(1)]


def test_row_of_an_earlier_version_gets_defaults(tmp_path: Path) -> None:
    values = {"id": "a", "kind": "sip", "created_at": 1, "node": "n", "incarnation": "i"}
    (tmp_path / "spool.jsonl").write_bytes(msgspec.json.encode(["call", values]) + b"\n")
    database = FakeDatabase()
    assert spool(tmp_path).replay(database.write) == (1, 0)
    record = CallRecord(id="a", kind="sip", created_at=1)
    assert database.rows == [Row(SAVE_CALL, (*msgspec.structs.astuple(record), "n", "i"))]


@pytest.mark.parametrize("seed", range(10))
def test_any_order_of_adding_failing_and_starting_anew_keeps_the_order(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    database = FakeDatabase()
    # Memory does not outlive a process, so all rows fit in the file here.
    waiting = spool(tmp_path, disk=10**9)
    added: list[Row] = []
    for step in range(30):
        match dice.randrange(4):
            case 0 | 1:
                rows = [call(step * 1000 + number) for number in range(dice.randrange(1, 400))]
                assert all(waiting.add(rows))
                added += rows
            case 2:
                database.batches = dice.randrange(4)
                try:
                    waiting.replay(database.write)
                except UnavailableError:
                    assert len(waiting)
            case _:
                waiting = spool(tmp_path, disk=10**9)
    database.batches = 10**9
    waiting.replay(database.write)
    # A process that starts anew may write rows again that were written; the last of each is in order.
    last = {row.values[0]: number for number, row in enumerate(database.rows)}
    assert sorted(last, key=last.__getitem__) == [row.values[0] for row in added]
