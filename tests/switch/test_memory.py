"""Accounts of memory."""

import contextlib
import random
from pathlib import Path

import pytest

from softswitch.settings import Limits
from softswitch.switch.machine import bounds, fill, this_machine
from softswitch.switch.memory import MEGABYTE, Bounds, Machine, Memory, MemoryFullError

GIGABYTE = 1000 * MEGABYTE


@pytest.mark.parametrize(
    ("holds", "asked", "setting", "code"),
    [
        ([("a", "1", 90)], ("a", "1", 11), "memory_call_mb", 429),
        ([("a", "1", 90), ("a", "2", 90)], ("a", "3", 21), "memory_key_mb", 429),
        ([("a", "1", 90), ("a", "2", 90), ("b", "3", 99), ("", "4", 1)], ("c", "5", 21), "memory_mb", 503),
    ],
)
def test_each_bound_refuses_with_its_name_and_code(holds, asked, setting, code) -> None:
    memory = Memory(Bounds(process=300, account=200, call=100))
    for account, call, size in holds:
        memory.take(account, call, size)
    held = memory.held
    with pytest.raises(MemoryFullError, match=rf"\[limits\] {setting} is reached") as refused:
        memory.take(*asked)
    assert (refused.value.code, memory.held, memory.refused) == (code, held, 1)
    account, call, size = asked
    memory.take(account, call, size - 1)


def test_administrator_has_the_bound_of_the_process_and_of_each_call_only() -> None:
    memory = Memory(Bounds(process=300, account=100, call=100))
    memory.take("", "1", 100)
    memory.take("", "2", 100)
    assert not memory.is_full
    memory.take("", "3", 100)
    assert memory.is_full


def test_hold_that_moves_charges_the_other_call_beyond_its_bound() -> None:
    memory = Memory(Bounds(account=100))
    memory.take("b", "2", 100)
    hold = memory.hold("a", "1")
    hold.grow(50)
    hold.move("b", "2")
    assert (memory.of_account("a"), memory.of_account("b"), memory.of_call("2")) == (0, 150, 150)
    hold.release()
    hold.release()
    assert (memory.held, memory.highest) == (100, 150)


@pytest.mark.parametrize("seed", range(10))
def test_any_order_ends_at_zero_and_never_exceeds_a_bound(seed: int) -> None:
    dice = random.Random(seed)
    memory = Memory(Bounds(process=1000, account=500, call=300))
    holds = [memory.hold(account, account + number) for account in "abc" for number in "12"]
    for _ in range(500):
        hold = dice.choice(holds)
        if dice.random() < 0.7:
            with contextlib.suppress(MemoryFullError):
                hold.grow(dice.randrange(200))
        else:
            hold.release()
        assert memory.held == sum(each.size for each in holds) <= 1000
        assert all(memory.of_account(account) <= 500 for account in "abc")
    for hold in holds:
        hold.release()
    assert (memory.held, memory._accounts, memory._calls) == (0, {}, {})


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (Machine(2, 24 * GIGABYTE), (2000, 1500, 1500, 4096, 1024)),
        (Machine(16, 4 * GIGABYTE), (1000, 750, 750, 1000, 250)),
        (Machine(1, 512 * MEGABYTE), (128, 96, 96, 128, 64)),
    ],
)
def test_limits_that_are_left_open_follow_from_the_machine(machine: Machine, expected) -> None:
    filled = fill(Limits(), machine)
    assert (
        filled.calls,
        filled.calls_per_ip,
        filled.calls_per_key,
        filled.memory_mb,
        filled.memory_key_mb,
    ) == expected


def test_limits_of_the_settings_stay_and_zero_means_none() -> None:
    limits = Limits(calls=0, calls_per_ip=0, calls_per_key=5, memory_mb=0, memory_key_mb=7, memory_call_mb=0)
    assert fill(limits, Machine(2, GIGABYTE)) == limits
    assert bounds(limits) == Bounds(0, 7 * MEGABYTE, 0)
    assert fill(Limits(calls=100), Machine(2, GIGABYTE)).calls_per_key == 75


def test_container_is_smaller_than_its_machine(tmp_path: Path) -> None:
    whole = this_machine(tmp_path)
    assert whole.cores >= 1
    (tmp_path / "memory.max").write_text("100000000\n")
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert this_machine(tmp_path) == Machine(1, 100_000_000)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert this_machine(tmp_path) == whole
