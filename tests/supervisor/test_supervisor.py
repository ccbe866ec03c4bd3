"""Several workers as real processes: whatever names a call works from any of them, and none hurts another."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
from pathlib import Path

import aiohttp
import pytest

from softswitch.sip.events import Invited
from tests.support.ports import free_port
from tests.support.speakers import speakers
from tests.support.switch import START_S, SwitchProcess

pytestmark = [pytest.mark.client, pytest.mark.timeout(300)]

WORKERS = {"SOFTSWITCH_SERVER_WORKERS": "2", "SOFTSWITCH_SPEECH_PRELOAD": "false"}


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    """Run a switch with two workers."""
    with SwitchProcess(tmp_path_factory.mktemp("workers") / "data", WORKERS) as running:
        yield running
        assert running.process.poll() is None
        assert not running.tracebacks(), running.output()


def workers(switch: SwitchProcess) -> list[int]:
    """Return the process ids of the workers."""
    pid = switch.process.pid
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def get(switch, path, method="GET", **options):
    """Ask on a connection of its own, which any worker may get; return status and body."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, switch.url(path), **options) as answer,
    ):
        text = await answer.text()
        return answer.status, json.loads(text) if text[:1] in "{[tf" else text


async def test_calls_of_all_workers_are_listed_by_each(switch):
    async with switch.client(id="one") as one, switch.client(id="two") as two:
        await one.invite(vad=False)
        await two.invite(vad=False)
        for _ in range(4):
            status, body = await get(switch, "/call/lists")
            assert (status, [call["id"] for call in body["calls"]]) == (200, ["one", "two"])


async def test_a_command_reaches_a_call_of_any_worker(switch):
    async with switch.client(id="commanded") as client:
        await client.invite(vad=False)
        for number in range(4):
            body = {"command": "mark", "name": f"from-{number}"}
            assert await get(switch, "/command/commanded", "POST", json=body) == (200, {"success": True})
        for number in range(4):
            await client.wait("mark", lambda event, number=number: event["name"] == f"from-{number}")


async def test_an_unknown_call_is_unknown_everywhere(switch):
    for _ in range(2):
        assert (await get(switch, "/call/unknown"))[0] == 404


async def test_a_call_is_killed_from_any_worker(switch):
    for name in ("first", "second", "third"):
        async with switch.client(id=name) as client:
            await client.invite(vad=False)
            assert await get(switch, f"/call/kill/{name}", "POST") == (200, True)
            await client.wait("hangup")


async def test_an_id_that_is_live_on_another_worker_is_taken(switch):
    async with switch.client(id="taken") as client:
        await client.invite(vad=False)
        for _ in range(3):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with switch.client(id="taken"):
                    pass
            assert refused.value.status == 409


async def test_events_are_followed_from_any_worker(switch):
    async with switch.client(id="followed") as client:
        await client.invite(vad=False)
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            streams = [await session.get(switch.url("/events/followed")) for _ in range(3)]
            await client.send("mark", name="seen")
            for stream in streams:
                while b'"seen"' not in (line := await stream.content.readline()):
                    assert line, "the stream ended"
                stream.close()


async def test_wavix_controls_a_call_of_any_worker(switch):
    status, body = await get(switch, "/v1/call", "POST", json={"from": "1", "to": "echo"})
    assert status == 200, body
    uuid = body["uuid"]
    for _ in range(3):
        status, body = await get(switch, f"/v1/call/{uuid}")
        assert (status, body["call"]["uuid"]) == (200, uuid)
        status, body = await get(switch, "/v1/call")
        assert uuid in [call["uuid"] for call in body["calls"]]
    assert (await get(switch, f"/v1/call/{uuid}", "DELETE"))[0] == 200


async def test_metrics_of_all_workers_are_in_one_answer(switch):
    status, text = await get(switch, "/metrics")
    assert status == 200
    for number in (1, 2):
        assert f'softswitch_info{{worker="{number}",version=' in text
    assert text.count("# TYPE softswitch_calls_active ") == 1
    assert "softswitch_supervisor_workers_ready 2" in text
    assert (await get(switch, "/readyz"))[0] == 200


async def test_a_client_comes_back_by_way_of_another_worker(switch):
    async with aiohttp.ClientSession() as session:
        first = await session.ws_connect(switch.socket_url("/call", id="resumed", resume=30))
        await first.send_json({"command": "invite", "option": {"vad": {"type": "off"}}})
        token = ""
        while not token:
            event = await first.receive_json(timeout=10)
            token = event.get("resume", "")
        await first.close()
        for _ in range(3):
            back = await session.ws_connect(switch.socket_url("/call", id="resumed", resume=token, seq=0))
            while (event := await back.receive_json(timeout=10))["event"] != "resumed":
                pass
            token = event["resume"]
            await back.close()
        assert (await get(switch, "/call/kill/resumed", "POST"))[0] == 200


async def test_a_killed_worker_hurts_no_other_and_is_replaced(tmp_path):
    with SwitchProcess(tmp_path / "data", WORKERS) as switch:
        clients = {name: switch.client(id=name) for name in ("a", "b", "c", "d")}
        try:
            await lose_one(switch, clients)
        except TimeoutError:
            raise AssertionError(switch.output()) from None
        finally:
            for client in clients.values():
                with contextlib.suppress(AssertionError, ConnectionError, aiohttp.ClientError):
                    await client.__aexit__(None, None, None)


async def lose_one(switch, clients):
    """Make calls, kill one of two workers, and look at what becomes of them."""
    for client in clients.values():
        await client.__aenter__()
        await client.invite(vad=False)
    with contextlib.closing(sqlite3.connect(switch.data / "softswitch.db")) as database:
        async with asyncio.timeout(60):
            while database.execute("SELECT COUNT(*) FROM calls").fetchone() != (4,):
                await asyncio.sleep(0.02)
    victim = workers(switch)[0]
    os.kill(victim, signal.SIGKILL)
    lost = set()
    for name, client in clients.items():
        try:
            async with asyncio.timeout(60):
                await client.send("mark", name="still")
                await client.wait("mark")
        except (TimeoutError, ConnectionError, AssertionError, aiohttp.ClientError):
            lost.add(name)
    assert len(lost) == 2, "the calls of one of two workers"
    async with asyncio.timeout(START_S):
        while "workers_ready 2" not in (await get(switch, "/metrics"))[1]:
            await asyncio.sleep(0.05)
    async with asyncio.timeout(60):
        while {call["id"] for call in (await get(switch, "/call/lists"))[1]["calls"]} != set(clients) - lost:
            await asyncio.sleep(0.05)
    # What the lost worker left open is closed in the records.
    async with asyncio.timeout(60):
        while True:
            records = {call["id"]: call for call in (await get(switch, "/calls"))[1]["calls"]}
            if lost <= records.keys():
                break
            await asyncio.sleep(0.05)
    assert {records[name]["reason"] for name in lost} == {"node_lost"}


QUEUE = """
[sip]
port = %d
[[user]]
name = "anna"
password = "secret"
[[queue]]
name = "sales"
users = ["anna"]
position = ""
"""


async def test_callers_of_all_workers_wait_in_one_line_that_outlives_one_of_them(tmp_path):
    port = free_port()
    with SwitchProcess(tmp_path / "data", WORKERS, QUEUE % port) as switch:
        clients = {name: switch.client(id=name) for name in ("a", "b", "c", "d")}
        try:
            await lose_one_of_a_line(switch, clients, port)
        except TimeoutError:
            raise AssertionError(switch.output()) from None
        finally:
            for client in clients.values():
                with contextlib.suppress(AssertionError, ConnectionError, aiohttp.ClientError):
                    await client.__aexit__(None, None, None)
        assert not switch.tracebacks(), switch.output()


async def line(switch) -> list[tuple[int, str, str]]:
    """Return place, call and ringing user of the callers, as any worker shows them."""
    (queue,) = (await get(switch, "/queues"))[1]["queues"]
    return [(one["place"], one["id"], one["ringing"]) for one in queue["callers"]]


async def lose_one_of_a_line(switch, clients, port):
    """Have callers wait at both workers, kill one of them, and have a user answer the first of the others."""
    for number, (name, client) in enumerate(clients.items(), 1):
        await client.__aenter__()
        await client.send("invite", option={"callee": "queue:sales", "vad": False})
        async with asyncio.timeout(60):
            while (number, name, "") not in await line(switch):
                await asyncio.sleep(0.02)
    for _ in range(4):
        assert await line(switch) == [(n, name, "") for n, name in enumerate(clients, 1)]
    os.kill(workers(switch)[0], signal.SIGKILL)
    async with asyncio.timeout(START_S):
        while "workers_ready 2" not in (await get(switch, "/metrics"))[1]:
            await asyncio.sleep(0.05)
    # The callers of the other worker, however the kernel spread the four over both, in their order.
    async with asyncio.timeout(60):
        while not 1 <= len(left := [name for _, name, _ in await line(switch)]) <= 3 or left != [
            name for name, client in clients.items() if client.close_code is None
        ]:
            await asyncio.sleep(0.05)
    async with speakers(("anna", 1100.0)) as (anna,):
        assert await anna.far.register(port, "anna", "secret") == 200
        rung = await anna.far.until(Invited)
        for _ in range(4):
            assert await line(switch) == [
                (n, name, "anna" if n == 1 else "") for n, name in enumerate(left, 1)
            ]
        anna.far.do("reject", rung.session, 486)
        async with asyncio.timeout(60):
            while await line(switch) != [(n, name, "") for n, name in enumerate(left, 1)]:
                await asyncio.sleep(0.05)


async def test_a_rolling_restart_cuts_no_call(tmp_path):
    with SwitchProcess(tmp_path / "data", WORKERS) as switch:
        before = set(workers(switch))
        async with switch.client(id="standing") as client:
            await client.invite(vad=False)
            switch.process.send_signal(signal.SIGUSR2)
            refused = 0
            async with asyncio.timeout(2 * START_S):
                while len(set(workers(switch)) & before) > 1:
                    async with switch.client() as other:
                        await other.invite(vad=False)
                    await asyncio.sleep(0.05)
            assert not refused
            await client.send("mark", name="still")
            await client.wait("mark")
            _, body = await get(switch, "/call/lists")
            assert [call["id"] for call in body["calls"]] == ["standing"]
            assert len(set(workers(switch)) & before) == 1, "the worker of the standing call lives"
        async with asyncio.timeout(60):
            while set(workers(switch)) & before:
                await asyncio.sleep(0.05)
        assert len(workers(switch)) == 2
        assert await get(switch, "/admin/restart", "POST") == (202, {"restarting": True})


async def test_a_worker_that_retires_takes_what_comes_on_a_kept_connection(tmp_path):
    environment = WORKERS | {"SOFTSWITCH_LIMITS_KEEPALIVE_S": "600"}
    place = {"from": "100", "to": "echo"}
    with SwitchProcess(tmp_path / "data", environment) as switch:
        before = set(workers(switch))
        async with (
            switch.client(id="one") as one,
            switch.client(id="two") as two,
            # Kept for as long as two workers take to start on a loaded machine.
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=600)) as kept,
        ):
            # A call on each worker, so that both stay.
            await one.invite(vad=False)
            await two.invite(vad=False)
            async with kept.get(switch.url("/readyz")) as answer:
                assert answer.status == 200
                await answer.read()
            switch.process.send_signal(signal.SIGUSR2)
            async with asyncio.timeout(2 * START_S):
                while switch.output().count('"retiring"') < 2:
                    await asyncio.sleep(0.05)
            assert before <= set(workers(switch))
            async with kept.post(switch.url("/v1/call"), json=place) as answer:
                assert (answer.status, answer.headers["Connection"]) == (200, "close"), await answer.text()
                uuid = (await answer.json())["uuid"]
            async with kept.delete(switch.url(f"/v1/call/{uuid}")) as answer:
                assert (answer.status, answer.headers.get("Connection")) == (200, None), "of a new worker"
        async with asyncio.timeout(60):
            while set(workers(switch)) & before:
                await asyncio.sleep(0.05)


async def test_a_switch_with_workers_drains_and_ends(tmp_path):
    with SwitchProcess(tmp_path / "data", WORKERS) as switch:
        async with switch.client() as client:
            await client.invite(vad=False)
            switch.terminate()
            await asyncio.sleep(0.5)
            assert switch.process.poll() is None, "the call goes on"
            await client.send("mark", name="still")
            await client.wait("mark")
        assert await asyncio.to_thread(switch.process.wait, 30) == 0
        assert not switch.tracebacks(), switch.output()
