"""When work that waits is done: at once, now and then, and after failures ever later."""

import asyncio

from softswitch.switch import rounds
from softswitch.switch.rounds import FIRST_PAUSE_S, LONGEST_PAUSE_S, WARN_AFTER, Rounds


def test_pauses_double_up_to_a_bound_and_begin_anew_after_a_success():
    work = Rounds()
    pauses = [work.failed("away") for _ in range(40)]
    for number, pause in enumerate(pauses):
        whole = min(FIRST_PAUSE_S * 2.0**number, LONGEST_PAUSE_S)
        assert whole / 2 <= pause <= whole
    work.succeeded()
    assert work.failed("away") <= FIRST_PAUSE_S


def test_operator_hears_of_failures_in_a_row_with_the_last_reason():
    work = Rounds()
    for number in range(1, WARN_AFTER):
        work.failed(f"reason {number}")
        assert work.warnings("mail") == []
    work.failed("the last reason")
    assert work.warnings("mail") == ["mail: the last reason"]
    work.succeeded()
    assert work.warnings("mail") == []


async def test_work_that_comes_is_done_at_once_but_not_during_the_pause_after_a_failure(monkeypatch):
    monkeypatch.setattr(rounds, "FIRST_PAUSE_S", 0.02)
    work, done, failing = Rounds(), asyncio.Event(), [True]
    times = []

    async def once() -> float:
        times.append(asyncio.get_running_loop().time())
        if failing:
            failing.pop()
            work.wake()
            return work.failed("away")
        work.succeeded()
        done.set()
        return 300.0

    running = asyncio.create_task(work.run(once))
    async with asyncio.timeout(60):
        await done.wait()
        assert times[1] - times[0] >= 0.01
        done.clear()
        work.wake()
        await done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(times) == 3
