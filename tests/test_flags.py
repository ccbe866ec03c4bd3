"""A flag that tasks wait for."""

import asyncio

import pytest

from softswitch.flags import Flag


async def test_all_that_wait_are_woken_once_it_is_set() -> None:
    flag = Flag()
    waiting = [asyncio.create_task(flag.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not flag.is_set()
    assert not any(task.done() for task in waiting)
    flag.set()
    assert flag.is_set()
    await asyncio.gather(*waiting)


async def test_set_flag_lets_through_at_once_until_it_is_cleared() -> None:
    flag = Flag()
    flag.set()
    flag.set()
    await flag.wait()
    flag.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flag.wait(), 0.001)


async def test_task_that_gives_up_leaves_the_others_waiting() -> None:
    flag = Flag()
    one, other = asyncio.create_task(flag.wait()), asyncio.create_task(flag.wait())
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.sleep(0)
    assert one.cancelled()
    assert flag._waiters is not None
    assert len(flag._waiters) == 1
    flag.set()
    await other


async def test_cleared_before_the_waiting_task_runs_it_was_set_all_the_same() -> None:
    flag = Flag()
    waiting = asyncio.create_task(flag.wait())
    await asyncio.sleep(0)
    flag.set()
    flag.clear()
    await asyncio.wait_for(waiting, 1)
