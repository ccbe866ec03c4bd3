import asyncio

import pytest
import uvloop

from softswitch.speech.builtin.fork_server import WorkerLostError
from softswitch.speech.builtin.workers import JobFailedError, WorkerPool
from softswitch.speech.interface import SpeechBusyError, SpeechUnavailableError

ENGINE = "tests.speech.builtin.fake_engine"
BOUNDS = {"rank": 0.0, "cost": 1.0, "patience_s": 100.0}


@pytest.fixture
async def pool():
    pool = WorkerPool("test", ENGINE, 1, speed=1.0)
    yield pool
    await pool.close()


async def result(pool, do, body=b"", **more):
    bounds = BOUNDS | {key: more.pop(key) for key in BOUNDS if key in more}
    async with asyncio.timeout(60):
        return await pool.result({"do": do, **more}, body, **bounds)


async def test_pieces_come_in_order_and_the_result_last(pool):
    async with asyncio.timeout(60):
        replies = [reply async for reply in pool.run({"do": "echo"}, b"a,b,c", **BOUNDS)]
    assert replies[:3] == [b"a", b"b", b"c"]
    assert replies[3]["size"] == 5
    assert pool.about == {"engine": "fake"}
    assert pool.counters["test_jobs"] == pool.counters["test_workers_started"] == 1


async def test_processes_are_less_urgent_than_the_switch_and_compute_with_one_thread(pool):
    told = await result(pool, "nice")
    assert told["nice"] >= 5
    assert told["group"] >= 5
    assert told["threads"] == "1"


async def test_the_network_is_forbidden_in_them(pool):
    with pytest.raises(JobFailedError, match="may not use the network"):
        await result(pool, "connect")
    assert (await result(pool, "echo"))["size"] == 0


async def test_a_failure_is_told_and_the_process_goes_on(pool):
    before = (await result(pool, "echo"))["pid"]
    with pytest.raises(JobFailedError, match="cannot do that"):
        await result(pool, "fail")
    assert (await result(pool, "echo"))["pid"] == before


async def test_a_process_that_dies_is_replaced_and_its_job_fails_after_a_second_try(pool):
    before = (await result(pool, "echo"))["pid"]
    with pytest.raises(WorkerLostError):
        await result(pool, "die")
    assert (await result(pool, "echo"))["pid"] != before
    assert pool.counters["test_workers_lost"] == 2


async def test_a_job_that_said_nothing_yet_is_tried_again(pool, tmp_path):
    assert await result(pool, "die once", mark=str(tmp_path / "died")) == {}
    assert pool.counters["test_workers_lost"] == 1


async def test_lower_ranks_go_first_and_equals_in_their_order(pool, tmp_path):
    mark = tmp_path / "go"
    order = []

    async def job(name, rank):
        await result(pool, "echo", rank=rank)
        order.append(name)

    first = asyncio.ensure_future(result(pool, "wait", mark=str(mark)))
    await pool.start()
    while pool._heap or pool._under_way < 1:
        await asyncio.sleep(0)
    jobs = [
        asyncio.ensure_future(job(name, rank))
        for name, rank in (("second of a", 1), ("first of b", 0), ("second of c", 1), ("first of d", 0))
    ]
    while len(pool._heap) < 4:
        await asyncio.sleep(0)
    assert not pool.idle
    mark.touch()
    await asyncio.gather(first, *jobs)
    assert order == ["first of b", "first of d", "second of a", "second of c"]


async def test_who_would_wait_too_long_is_told_at_once(pool, tmp_path):
    mark = tmp_path / "go"
    jobs = [asyncio.ensure_future(result(pool, "wait", mark=str(mark), cost=10)) for _ in range(3)]
    await pool.start()
    while len(pool._heap) < 2:
        await asyncio.sleep(0)
    assert pool.wait_s(0) == 20
    with pytest.raises(SpeechBusyError, match="busy"):
        await result(pool, "echo", patience_s=19)
    assert pool.counters["test_busy"] == 1
    mark.touch()
    await asyncio.gather(*jobs)
    await result(pool, "echo", patience_s=19)


async def test_a_withdrawn_job_is_not_begun(pool, tmp_path):
    mark, died = tmp_path / "go", tmp_path / "died"
    first = asyncio.ensure_future(result(pool, "wait", mark=str(mark)))
    await pool.start()
    second = asyncio.ensure_future(result(pool, "die once", mark=str(died)))
    while not pool._heap or pool._under_way < 1:
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert pool.wait_s(0) == 0
    mark.touch()
    await first
    await result(pool, "echo")
    assert not died.exists()


async def test_speed_is_learned(pool):
    for _ in range(5):
        await result(pool, "echo", cost=1000.0)
    assert pool._speed > 100


async def test_a_model_that_cannot_be_loaded_is_told_and_tried_again_later(monkeypatch):
    now = 100.0
    monkeypatch.setenv("SOFTSWITCH_TEST_BROKEN", "1")
    pool = WorkerPool("test", ENGINE, 1, speed=1.0, clock=lambda: now)
    with pytest.raises(SpeechUnavailableError, match="the model is broken"):
        await pool.start()
    with pytest.raises(SpeechUnavailableError, match="tried again in"):
        await pool.start()
    monkeypatch.delenv("SOFTSWITCH_TEST_BROKEN")
    now += 60.0
    assert (await result(pool, "echo"))["size"] == 0
    await pool.close()
    with pytest.raises(SpeechUnavailableError, match="closing"):
        await pool.start()


async def test_closing_fails_what_is_under_way(pool, tmp_path):
    jobs = [asyncio.ensure_future(result(pool, "wait", mark=str(tmp_path / "never"))) for _ in range(2)]
    await pool.start()
    while not pool._heap or pool._under_way < 1:
        await asyncio.sleep(0)
    await pool.close()
    failures = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(failure) for failure in failures] == [SpeechUnavailableError] * 2


def test_it_works_on_uvloop_too():
    async def run():
        pool = WorkerPool("test", ENGINE, 2, speed=1.0)
        told = await asyncio.gather(*(result(pool, "echo", b"a") for _ in range(4)))
        with pytest.raises(WorkerLostError):
            await result(pool, "die")
        told.append(await result(pool, "echo", b"b"))
        await pool.close()
        return [answer["size"] for answer in told]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()) == [1] * 5
