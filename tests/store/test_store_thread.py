"""The thread of a store."""

import threading

import pytest

from softswitch.errors import UnavailableError
from softswitch.store.store_thread import StoreThread


async def test_thread_does_one_piece_of_work_after_another_off_the_loop() -> None:
    thread, done = StoreThread(), list[int]()
    thread.start()
    name = await thread.run(lambda: threading.current_thread().name)
    assert name.startswith("store-reader")
    assert await thread.run(threading.get_ident) != threading.get_ident()
    await thread.close(lambda: done.append(1))
    await thread.close(lambda: done.append(2))
    assert done == [1]


async def test_thread_takes_work_only_between_start_and_close() -> None:
    thread = StoreThread()
    with pytest.raises(UnavailableError, match="closed"):
        await thread.run(int)
    thread.start()
    assert await thread.run(int) == 0
    await thread.close(lambda: None)
    with pytest.raises(UnavailableError, match="closed"):
        await thread.run(int)


async def test_failure_of_work_is_raised_and_the_thread_goes_on() -> None:
    thread = StoreThread()
    thread.start()
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    assert await thread.run(lambda: 7) == 7
    await thread.close(lambda: None)
