"""The channel between two processes: order, bounds, descriptors and the end."""

import asyncio
import os
import socket
from typing import Any

from softswitch.bus.channel import Channel, pair


async def channels(**options: Any) -> tuple[list[Channel], tuple[list[Any], list[Any]], list[int]]:
    """Return two channels, what each got, and who noticed the end."""
    got: tuple[list[Any], list[Any]] = ([], [])
    closed: list[int] = []

    def channel(number: int, end: socket.socket) -> Channel:
        return Channel(
            end,
            lambda data, descriptors: got[number].append((bytes(data), list(descriptors))),
            lambda: closed.append(number),
            **options,
        )

    return [channel(number, end) for number, end in enumerate(pair())], got, closed


async def settle(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


async def test_packets_arrive_whole_and_in_order():
    (one, two), got, _ = await channels(waiting=10_000_000)
    packets = [bytes([number % 256]) * (number * 37 % 5000 + 1) for number in range(2000)]
    for packet in packets:
        assert one.send(packet)
    await settle(lambda: len(got[1]) == len(packets))
    assert [data for data, _ in got[1]] == packets
    assert one.dropped == 0
    one.close()
    two.close()


async def test_a_descriptor_is_handed_over():
    (one, two), got, _ = await channels()
    here, there = socket.socketpair()
    assert one.send(b"http", [there.fileno()])
    there.close()
    await settle(lambda: got[1])
    data, (descriptor,) = got[1][0]
    assert data == b"http"
    with socket.socket(fileno=descriptor) as received:
        received.send(b"hello")
        assert here.recv(10) == b"hello"
    here.close()
    one.close()
    two.close()


async def test_without_a_queue_packets_are_dropped_and_counted():
    end, other = pair()
    channel = Channel(end, lambda data, descriptors: None, lambda: None)
    while channel.send(b"x" * 60_000):
        pass
    assert channel.dropped == 1
    assert not channel.closed
    channel.close()
    other.close()


async def test_a_reader_that_is_too_slow_is_cut():
    end, other = pair()
    closed: list[int] = []
    channel = Channel(end, lambda data, descriptors: None, lambda: closed.append(1), waiting=200_000)
    while channel.send(b"x" * 60_000):
        pass
    await asyncio.sleep(0)
    assert closed == [1]
    assert not channel.send(b"more")
    other.close()


async def test_the_end_of_the_other_side_is_noticed_once():
    (one, two), _, closed = await channels()
    one.close()
    await settle(lambda: sorted(closed) == [0, 1])
    two.close()
    assert sorted(closed) == [0, 1]
    assert os.getpid()
