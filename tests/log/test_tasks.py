"""Background tasks: kept, logged with the call they work for, counted."""

import asyncio
import gc
import logging

from softswitch.log import for_call
from softswitch.log.tasks import FAILED, RUNNING, Tasks, spawn


async def _fail() -> None:
    raise ZeroDivisionError("injected")


async def _ended(task: "asyncio.Task[object]") -> None:
    await asyncio.wait([task])
    await asyncio.sleep(0)


async def test_failure_is_logged_with_the_call_counted_and_told(caplog):
    before = FAILED["test"]
    told: list[BaseException] = []
    with caplog.at_level(logging.ERROR):
        await _ended(spawn(_fail(), package="test", name="a job", call="c-1", on_failure=told.append))
    (record,) = caplog.records
    assert (record.call, record.task, record.owner) == ("c-1", "a job", "test")
    assert record.exc_info is not None
    assert FAILED["test"] == before + 1
    assert [str(error) for error in told] == ["injected"]


async def test_call_of_the_context_is_named_where_no_other_is_given(caplog):
    with caplog.at_level(logging.ERROR), for_call("c-2"):
        task = spawn(_fail(), package="test")
    await _ended(task)
    assert caplog.records[0].call == "c-2"


async def test_task_that_nothing_refers_to_is_not_collected():
    done = asyncio.Event()
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await gate
        done.set()

    spawn(work(), package="test")
    await asyncio.sleep(0)
    gc.collect()
    gate.set_result(None)
    async with asyncio.timeout(5):
        await done.wait()
    await asyncio.sleep(0)
    assert not [task for task in RUNNING if task.get_name() == "test"]


async def test_cancelled_task_is_no_failure(caplog):
    before, tasks = FAILED["test"], Tasks("test")
    task = tasks.spawn(asyncio.Event().wait())
    await asyncio.sleep(0)
    assert len(tasks) == 1
    tasks.cancel()
    await tasks.join(5)
    await asyncio.sleep(0)
    assert task.cancelled()
    assert (len(tasks), FAILED["test"], caplog.records) == (0, before, [])


async def test_join_waits_for_at_most_its_bound():
    tasks = Tasks("test")
    tasks.spawn(asyncio.Event().wait())
    async with asyncio.timeout(5):
        await tasks.join(0.01)
    assert len(tasks) == 1
    tasks.cancel()
    await tasks.join(5)


async def test_failure_names_its_owner_and_counts_for_it(caplog):
    before, tasks = FAILED["test"], Tasks("test", "look-ups")
    await _ended(tasks.spawn(_fail(), name="look-up", call="c-3"))
    (record,) = caplog.records
    assert (record.owner, record.task, record.call) == ("look-ups", "look-up", "c-3")
    assert (tasks.failures, len(tasks), FAILED["test"]) == (1, 0, before + 1)


async def test_stop_waits_for_its_bound_then_cancels_without_a_failure():
    tasks = Tasks("test")
    forever = tasks.spawn(asyncio.Event().wait())
    brief = tasks.spawn(asyncio.sleep(0))
    async with asyncio.timeout(5):
        await tasks.stop(0.01)
    assert (forever.cancelled(), brief.cancelled(), tasks.failures) == (True, False, 0)
    await asyncio.sleep(0)
    assert len(tasks) == 0
