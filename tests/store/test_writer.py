"""The writing thread: order, bounds, and mistakes."""

import asyncio
import logging
import threading
from collections.abc import Sequence

import pytest

from softswitch.store.writer import Writer


class Disk:
    """Be a disk that can be stopped."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()
        self.busy = threading.Event()

    def write(self, items: Sequence[int]) -> list[bool]:
        self.busy.set()
        self.go.wait(10)
        self.batches.append(list(items))
        return [item >= 0 for item in items]

    @property
    def written(self) -> list[int]:
        return [item for batch in self.batches for item in batch]


def future() -> asyncio.Future[bool]:
    return asyncio.get_running_loop().create_future()


async def test_writer_keeps_the_order_and_tells_each_outcome() -> None:
    disk = Disk()
    writer = Writer(disk.write, waiting=100, waiting_bytes=1000)
    writer.start()
    answers = [future() for _ in range(5)]
    for item, answer in zip((1, -2, 3, -4, 5), answers, strict=True):
        assert writer.put(item, future=answer)
    assert await asyncio.gather(*answers) == [True, False, True, False, True]
    assert disk.written == [1, -2, 3, -4, 5]
    await writer.close()


async def test_writer_collects_what_waits_into_bounded_batches() -> None:
    disk = Disk()
    disk.go.clear()
    writer = Writer(disk.write, waiting=100, waiting_bytes=1000, batch=4)
    writer.start()
    assert writer.put(0)
    await asyncio.to_thread(disk.busy.wait, 10)
    for item in range(1, 10):
        assert writer.put(item)
    disk.go.set()
    await writer.close()
    assert disk.written == list(range(10))
    assert max(len(batch) for batch in disk.batches) == 4


async def test_writer_takes_no_more_than_may_wait() -> None:
    disk = Disk()
    disk.go.clear()
    writer = Writer(disk.write, waiting=2, waiting_bytes=1000)
    writer.start()
    assert writer.put(0)
    await asyncio.to_thread(disk.busy.wait, 10)
    assert [writer.put(item) for item in (1, 2, 3)] == [True, True, False]
    disk.go.set()
    await writer.close()
    assert disk.written == [0, 1, 2]


async def test_writer_counts_the_bytes_that_wait_and_those_gone() -> None:
    disk = Disk()
    disk.go.clear()
    writer = Writer(disk.write, waiting=100, waiting_bytes=1000)
    writer.start()
    assert writer.put(0, cost=600)
    assert not writer.put(1, cost=600)
    assert writer.put(2, cost=400)
    disk.go.set()
    while not writer.put(3, cost=1000):
        await asyncio.sleep(0.001)
    await writer.close()
    assert disk.written == [0, 2, 3]


async def test_writer_writes_what_waits_before_it_closes_and_takes_nothing_after() -> None:
    disk = Disk()
    writer = Writer(disk.write, waiting=1000, waiting_bytes=1000)
    assert not writer.put(0), "before the start no thread would write it"
    writer.start()
    for item in range(500):
        assert writer.put(item)
    await writer.close()
    await writer.close()
    assert disk.written == list(range(500))
    assert not writer.put(1)


async def test_writer_outlives_a_mistake(caplog: pytest.LogCaptureFixture) -> None:
    def write(items: Sequence[int]) -> list[bool]:
        return [1 // item > 0 for item in items]

    writer = Writer(write, waiting=10, waiting_bytes=10)
    writer.start()
    bad, good = future(), future()
    with caplog.at_level(logging.CRITICAL, "softswitch.store.writer"):
        writer.put(0, future=bad)
        assert not await bad
    writer.put(1, future=good)
    assert await good
    await writer.close()


async def test_writer_gives_up_on_a_disk_that_hangs(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softswitch.store.writer.CLOSE_S", 0.05)
    disk = Disk()
    disk.go.clear()
    writer = Writer(disk.write, waiting=1, waiting_bytes=1000)
    writer.start()
    writer.put(0)
    await asyncio.to_thread(disk.busy.wait, 10)
    writer.put(1)
    await writer.close()
    assert "the disk of the store does not respond" in caplog.text
    disk.go.set()


async def test_writer_leaves_a_cancelled_future_alone() -> None:
    disk = Disk()
    disk.go.clear()
    writer = Writer(disk.write, waiting=10, waiting_bytes=1000)
    writer.start()
    gone, kept = future(), future()
    writer.put(1, future=gone)
    writer.put(2, future=kept)
    gone.cancel()
    disk.go.set()
    assert await kept
    await writer.close()
