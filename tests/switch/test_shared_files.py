"""Files in memory."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from softswitch.egress import Asker
from softswitch.switch.memory import Bounds, Memory, MemoryFullError
from softswitch.switch.shared_files import SharedFiles

SIZE = 1_000_000


class FakeServer:
    """Serves one body when the test lets it; counts requests."""

    def __init__(self, body: bytes = bytes(SIZE)) -> None:
        self.body = body
        self.requests = 0
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def load(self, reserve):
        self.requests += 1
        self.asked.set()
        reserve(len(self.body))
        await self.open.wait()
        # A copy, as a request makes one.
        return bytes(bytearray(self.body)), "a.wav", "audio/wav"


async def test_playbacks_at_once_make_one_request_and_hold_the_file_once() -> None:
    memory, server = Memory(), FakeServer()
    files = SharedFiles(memory)
    async with AsyncExitStack() as stack:
        opened = await asyncio.gather(
            *(
                stack.enter_async_context(files.open("u", Asker("a", f"{number % 6}"), server.load))
                for number in range(48)
            )
        )
        assert len({id(file.body) for file in opened}) == 1
        assert (server.requests, memory.held, memory.highest, len(files)) == (1, SIZE, SIZE, 1)
    assert (memory.held, len(files), memory.of_account("a")) == (0, 0, 0)


async def test_same_contents_fetched_later_or_by_another_account_share_memory() -> None:
    memory, server = Memory(), FakeServer()
    files = SharedFiles(memory)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(files.open("u", Asker("a", "1"), server.load))
        async with files.open("v", Asker("b", "2"), server.load) as second:
            assert second.body is first.body
            assert (server.requests, memory.held, memory.of_account("b")) == (2, SIZE, 0)
        server.body = b"x" * SIZE
        async with files.open("u", Asker("a", "1"), server.load) as changed:
            assert changed.body != first.body
            assert memory.held == 2 * SIZE


async def test_playback_that_stays_is_charged_when_the_first_one_leaves() -> None:
    memory, server = Memory(), FakeServer()
    files = SharedFiles(memory)
    second = files.open("u", Asker("b", "2"), server.load)
    async with files.open("u", Asker("a", "1"), server.load):
        await second.__aenter__()
        assert (memory.of_account("a"), memory.of_account("b")) == (SIZE, 0)
    assert (memory.of_account("a"), memory.of_account("b")) == (0, SIZE)
    await second.__aexit__(None, None, None)
    assert memory.held == 0


async def test_first_playback_that_leaves_while_loading_does_not_stop_the_others() -> None:
    memory, server = Memory(), FakeServer()
    server.open.clear()
    files = SharedFiles(memory)
    entered = asyncio.Event()

    async def play(call: str) -> bytes:
        async with files.open("u", Asker("a", call), server.load) as file:
            entered.set()
            return file.body

    first, second = asyncio.create_task(play("1")), asyncio.create_task(play("2"))
    await server.asked.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not entered.is_set()
    server.open.set()
    assert await second == server.body
    assert (server.requests, memory.held) == (1, 0)


async def test_last_playback_that_leaves_stops_loading() -> None:
    memory, server = Memory(), FakeServer()
    server.open.clear()
    files = SharedFiles(memory)
    play = asyncio.create_task(files.open("u", Asker("a", "1"), server.load).__aenter__())
    await server.asked.wait()
    assert memory.held == SIZE
    play.cancel()
    with pytest.raises(asyncio.CancelledError):
        await play
    await asyncio.sleep(0)
    assert (memory.held, files._loading) == (0, {})


async def test_file_beyond_a_bound_is_refused_and_costs_nothing() -> None:
    memory, server = Memory(Bounds(call=SIZE - 1)), FakeServer()
    files = SharedFiles(memory)
    with pytest.raises(MemoryFullError) as refused:
        async with files.open("u", Asker("a", "1"), server.load):
            pass
    assert (refused.value.code, memory.held, files._loading) == (429, 0, {})
