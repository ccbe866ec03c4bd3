"""The thread that ticks: priority, restarts and relay passes; its timing is tested with the engine."""

import os
import threading
import time

import pytest

from softswitch.media.engine import tick_thread
from softswitch.media.messages import Output


def test_priority_is_asked_for_and_a_refusal_is_lived_with(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(os, "setpriority", lambda *words: asked.append(words))
    assert tick_thread.ask_for_priority()
    assert asked == [(os.PRIO_PROCESS, threading.get_native_id(), tick_thread.NICENESS)]

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    assert not tick_thread.ask_for_priority()


def test_what_is_in_a_hurry_is_seen_to_between_the_ticks() -> None:
    calls: list[str] = []
    done = threading.Event()

    def tick(_now: float) -> Output:
        calls.append("tick")
        if calls.count("tick") > 10:
            done.set()
        return Output()

    def relay_now(_now: float) -> Output:
        calls.append("relay_now")
        return Output(datagrams=[(1, b"x")])

    hurried = True
    counters = dict.fromkeys(
        ("thread_restarts", "ticks", "late_ticks", "jumped_ticks", "tick_errors", "emit_errors"), 0
    )
    thread = tick_thread.TickThread(
        tick, lambda: False, counters, is_relaying=lambda: hurried, relay_now=relay_now
    )
    emitted: list[Output] = []
    thread.start(emitted.append)
    assert done.wait(10)
    thread.stop()
    assert 0 < calls.count("relay_now") <= 3 * calls.count("tick")
    assert len(emitted) == calls.count("relay_now")
    hurried = False
    calls.clear()
    done.clear()
    thread.start(emitted.append)
    assert done.wait(10)
    thread.stop()
    assert "relay_now" not in calls


def test_what_came_beside_audio_is_handed_out_before_the_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = time.sleep

    def pause(seconds: float) -> None:
        if seconds == tick_thread.COMMANDS_S:
            pauses.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(tick_thread.time, "sleep", pause)  # type: ignore[attr-defined]
    order: list[str] = []
    done, serving = threading.Event(), True

    def tick(_now: float) -> Output:
        order.append("tick")
        if order.count("tick") == 6:
            done.set()
        return Output()

    def read_sockets(_now: float) -> Output:
        order.append("read")
        return Output(roused=[7] if order.count("read") % 2 else [])

    counters = dict.fromkeys(
        ("thread_restarts", "ticks", "late_ticks", "jumped_ticks", "tick_errors", "emit_errors"), 0
    )
    thread = tick_thread.TickThread(
        tick,
        lambda: False,
        counters,
        is_relaying=lambda: False,
        relay_now=lambda now: Output(),
        is_serving=lambda: serving,
        read_sockets=read_sockets,
    )
    thread.start(lambda output: order.append(f"roused {output.roused}"))
    assert done.wait(10)
    thread.stop()
    assert order[:5] == ["read", "roused [7]", "tick", "read", "tick"]
    assert 3 <= len(pauses) <= 4
    serving = False
    order.clear()
    done.clear()
    thread.start(lambda output: order.append("emitted"))
    assert done.wait(10)
    thread.stop()
    assert set(order) == {"tick"}


class Bench:
    """A thread whose parts fail when the test says so."""

    def __init__(self) -> None:
        self.counters = dict.fromkeys(
            ("ticks", "late_ticks", "jumped_ticks", "tick_errors", "emit_errors", "thread_restarts"), 0
        )
        self.failing = 0
        self.idle = False
        self.ticked = threading.Event()
        self.died = threading.Event()
        self.thread = tick_thread.TickThread(
            self.tick, lambda: self.idle, self.counters, is_relaying=self.is_relaying, relay_now=self.tick
        )

    def tick(self, _now: float) -> Output:
        self.ticked.set()
        return Output()

    def is_relaying(self) -> bool:
        """Fail where no guard of a tick's work stands."""
        if self.failing:
            self.failing -= 1
            raise MemoryError
        return False

    def start(self) -> None:
        self.thread.start(lambda output: None, self.died.set)

    def ticks_again(self) -> bool:
        self.ticked.clear()
        return self.ticked.wait(10)


def test_thread_that_fails_by_itself_begins_anew() -> None:
    bench = Bench()
    bench.failing = 3
    bench.start()
    while bench.failing:
        assert bench.ticks_again()
    assert bench.ticks_again()
    assert bench.counters["thread_restarts"] == 3
    assert not bench.died.is_set()
    assert bench.thread.age_s() < 5
    bench.thread.stop()
    assert bench.thread.age_s() == float("inf")


def test_thread_that_fails_again_and_again_says_so_and_its_age_is_infinite() -> None:
    bench = Bench()
    bench.failing = 1000
    bench.start()
    assert bench.died.wait(10)
    assert bench.counters["thread_restarts"] == tick_thread.MOST_RESTARTS + 1
    while bench.thread.age_s() < 5:
        threading.Event().wait(0.001)
    assert bench.thread.age_s() == float("inf")
    bench.thread.stop()


def test_idle_thread_is_of_no_age_and_one_that_hangs_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.idle = True
    bench.start()
    now = time.monotonic()
    while not bench.thread._asleep:
        threading.Event().wait(0.001)
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    assert bench.thread.age_s() == 0
    # There is something to do now, and no tick has begun.
    bench.idle = False
    assert bench.thread.age_s() > 50
    monkeypatch.undo()
    bench.thread.wake()
    assert bench.ticks_again()
    assert bench.thread.age_s() < 5
    bench.thread.stop()


def test_relayed_ports_without_packets_wake_the_thread_for_ticks_only() -> None:
    ticks, passes, coming = [0], [0], threading.Event()
    done = threading.Event()

    def tick(_now: float) -> Output:
        ticks[0] += 1
        if ticks[0] == 10:
            coming.set()
        if ticks[0] > 20:
            done.set()
        return Output()

    def relay_now(_now: float) -> Output:
        assert coming.is_set()
        passes[0] += 1
        return Output()

    counters = dict.fromkeys(("thread_restarts", "ticks", "late_ticks", "jumped_ticks", "tick_errors"), 0)
    thread = tick_thread.TickThread(
        tick,
        lambda: False,
        counters,
        is_relaying=lambda: True,
        relay_now=relay_now,
        await_relayed=coming.wait,
    )
    thread.start(lambda output: None)
    assert done.wait(10)
    thread.stop()
    assert counters["tick_errors"] == 0
    assert passes[0] > 0


def test_compiled_passes_take_the_place_of_those_of_python_and_may_fail() -> None:
    ways: list[str] = []
    done = threading.Event()

    def carry(passed: float, until: float, period: float, margin: float) -> tuple[float, Output] | None:
        assert passed < until
        assert 0 < margin < period
        if not ways:
            ways.append("failed")
            raise MemoryError
        if len(ways) == 1:
            ways.append("left")
            return None
        ways.append("carried")
        time.sleep(max(until - time.monotonic(), 0))
        if len(ways) > 10:
            done.set()
        return until, Output(datagrams=[(1, b"x")])

    counters = dict.fromkeys(
        ("thread_restarts", "ticks", "late_ticks", "jumped_ticks", "tick_errors", "emit_errors"), 0
    )
    passes: list[float] = []
    emitted: list[Output] = []

    def relay_now(now: float) -> Output:
        passes.append(now)
        return Output()

    thread = tick_thread.TickThread(
        lambda now: Output(),
        lambda: False,
        counters,
        is_relaying=lambda: True,
        relay_now=relay_now,
        carry=carry,
    )
    thread.start(emitted.append)
    assert done.wait(10)
    thread.stop()
    assert counters["tick_errors"] == 1
    assert 1 <= len(passes) <= 6
    assert emitted
