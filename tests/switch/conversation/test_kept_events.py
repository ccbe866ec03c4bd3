"""Events kept for a client that comes back."""

from softswitch.call.vocabulary.events import Error, Event
from softswitch.call.vocabulary.values import party_of
from softswitch.settings import Limits
from softswitch.switch.conversation.kept_events import KeptEvents, size_of
from softswitch.switch.memory import Bounds, Memory


def event(size: int) -> Event:
    return Error(timestamp=0.0, subject=party_of("a"), sender="x", error="x" * size, code=1)


def test_bytes_and_number_are_bounded_and_the_newest_stay() -> None:
    memory = Memory()
    kept = KeptEvents(Limits(events_kept=10, events_kept_bytes=1_000_000), memory, "call")
    for seq in range(100):
        kept.add(seq, event(200_000), "a")
    assert [seq for seq, _ in kept.since(0)] == [96, 97, 98, 99]
    assert kept.size == memory.of_account("a") == memory.of_call("call") <= 1_000_000
    for seq in range(100, 200):
        kept.add(seq, event(1), "b")
    assert [seq for seq, _ in kept.since(195)] == [196, 197, 198, 199]
    assert (len(kept), memory.of_account("a")) == (10, 0)
    kept.add(200, event(2_000_000), "b")
    assert 200 not in [seq for seq, _ in kept.since(0)]
    kept.clear()
    assert (kept.size, memory.held, len(kept)) == (0, 0, 0)


def test_full_memory_costs_the_oldest_of_the_same_call() -> None:
    memory = Memory(Bounds(account=50_000))
    memory.take("b", "other", 10_000)
    kept = KeptEvents(Limits(), memory, "call")
    for seq in range(10):
        kept.add(seq, event(20_000), "a")
    assert [seq for seq, _ in kept.since(-1)] == [8, 9]
    kept.clear()
    assert memory.held == 10_000
    kept.add(11, event(60_000), "a")
    assert (len(kept), memory.held) == (0, 10_000)


def test_size_follows_nested_texts() -> None:
    assert size_of({"a": ["x" * 1000, {"b": "y" * 1000}]}) > 2000
    assert size_of(event(1000)) > 1000
