import asyncio

import pytest

from softswitch.speech.interface import SpeechError
from softswitch.speech.outputs import OutputQueue


def outputs(*names):
    return [SpeechError("asr", name, 500) for name in names]


async def test_reader_gets_outputs_in_order_until_the_end():
    queue = OutputQueue()
    reading = asyncio.ensure_future(anext(queue))
    await asyncio.sleep(0)
    one, two, late = outputs("1", "2", "late")
    assert queue.put(one)
    assert queue.put(two)
    queue.end()
    queue.put(late)
    assert await reading == one
    assert [output async for output in queue] == [two]


async def test_oldest_output_is_dropped_and_told_when_the_queue_is_full():
    queue = OutputQueue(2)
    assert [queue.put(output) for output in outputs("1", "2", "3")] == [True, True, False]
    queue.end()
    assert [output async for output in queue] == outputs("2", "3")


async def test_close_drops_what_waits_and_wakes_the_reader():
    queue = OutputQueue()
    queue.put(outputs("1")[0])
    queue.close()
    assert (len(queue), queue.ended) == (0, True)
    with pytest.raises(StopAsyncIteration):
        await anext(queue)
