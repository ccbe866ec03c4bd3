import asyncio

from softswitch.client.inbox import AudioQueue, Inbox


async def test_every_reader_sees_everything_from_the_first_on():
    inbox = Inbox[int](10)
    inbox.put(1)
    early = inbox.read()
    assert await anext(early) == 1
    later = asyncio.create_task(anext(early))
    await asyncio.sleep(0)
    inbox.put(2)
    assert await later == 2
    inbox.close()
    assert [item async for item in inbox.read()] == [1, 2]
    assert [item async for item in early] == []


async def test_a_reader_that_is_too_slow_misses_the_oldest_and_that_is_counted():
    inbox = Inbox[int](3)
    reader = inbox.read()
    inbox.put(0)
    assert await anext(reader) == 0
    for number in range(1, 8):
        inbox.put(number)
    inbox.close()
    assert [item async for item in reader] == [5, 6, 7]
    assert inbox.missed == 4


async def test_an_item_is_taken_once():
    inbox = Inbox[int](10)
    for number in (1, 2, 3, 4):
        inbox.put(number)

    def even(number):
        return number % 2 == 0

    assert [await inbox.take(even), await inbox.take(even)] == [2, 4]
    waiting = asyncio.create_task(inbox.take(even))
    await asyncio.sleep(0)
    inbox.put(5)
    inbox.put(6)
    assert await waiting == 6
    inbox.close()
    assert await inbox.take(even) is None


async def test_audio_keeps_the_newest():
    queue = AudioQueue(3)
    for number in range(5):
        queue.put(bytes([number]))
    assert queue.dropped == 2
    queue.close()
    assert [data async for data in queue.read()] == [b"\x03", b"\x04"]
    assert [data async for data in queue.read()] == []
