"""Turns of the sources that wait."""

from random import Random

from softswitch.sip.security.fair_queue import FairQueue


def drained(queue: FairQueue[str]) -> list[str]:
    taken = []
    while (item := queue.take()) is not None:
        taken.append(item)
    return taken


def test_sources_are_served_in_turn_and_each_in_its_order():
    queue: FairQueue[str] = FairQueue()
    for host, item in (("1", "a1"), ("1", "a2"), ("1", "a3"), ("2", "b1"), ("3", "c1"), ("2", "b2")):
        assert queue.put(host, item, 1)
    assert drained(queue) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert queue.take() is None


def test_addresses_of_one_ipv6_network_are_one_source():
    queue: FairQueue[str] = FairQueue(per_source=2)
    assert [queue.put(f"2001:db8::{n}", str(n), 1) for n in range(3)] == [True, True, False]
    assert queue.put("2001:db8:0:1::1", "other", 1)
    assert drained(queue) == ["0", "other", "1"]


def test_newcomer_finds_room_beside_any_number_that_flood():
    queue: FairQueue[str] = FairQueue(most=100, per_source=20)
    for number in range(1000):
        queue.put(f"10.0.0.{number % 9}", "flood", 1)
        assert queue.put("10.0.1.1", "new", 1)
        assert len(queue) <= 100
        while queue.take() != "new":
            pass


def test_count_and_size_are_bounded_whatever_comes():
    random = Random(9)
    queue: FairQueue[str] = FairQueue(most=50, most_bytes=1000, per_source=5)
    waiting: list[int] = []
    for _ in range(5000):
        if random.random() < 0.6:
            size = random.randrange(1, 200)
            if queue.put(f"10.0.0.{random.randrange(30)}", str(size), size):
                waiting.append(size)
        elif (item := queue.take()) is not None:
            waiting.remove(int(item))
        assert len(queue) == len(waiting) <= 50
        assert sum(waiting) <= 1000
    queue.clear()
    assert (len(queue), queue.take()) == (0, None)
    assert queue.put("10.0.0.1", "1000", 1000)
