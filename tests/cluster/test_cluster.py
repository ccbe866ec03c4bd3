"""Two machines on one Redis, as processes: each serves what the other owns, also after Redis died."""

import asyncio
import contextlib
import time

import aiohttp
import pytest

from tests.supervisor.test_supervisor import get
from tests.support import sound
from tests.support.ports import free_port
from tests.support.redis import redis_server
from tests.support.switch import SwitchProcess

pytestmark = [pytest.mark.client, pytest.mark.timeout(180)]

SECRET = "a secret of the machines of one switch"


def environment(name: str, url: str) -> dict[str, str]:
    """Return the settings of one machine."""
    return {
        "SOFTSWITCH_CLUSTER_BUS": url,
        "SOFTSWITCH_CLUSTER_NODE": name,
        "SOFTSWITCH_CLUSTER_ADDRESS": f"127.0.0.1:{free_port()}",
        "SOFTSWITCH_CLUSTER_SECRET": SECRET,
        "SOFTSWITCH_CLUSTER_TTL_S": "1.5",
        "SOFTSWITCH_SPEECH_PRELOAD": "false",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Run Redis."""
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def machines(tmp_path_factory, server):
    """Run two switches."""
    folder = tmp_path_factory.mktemp("machines")
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(SwitchProcess(folder / name, environment(name, server.url)))
            for name in ("east", "west")
        ]


async def ids(switch) -> set[str]:
    """Return the ids of the calls that a machine lists."""
    return {call["id"] for call in (await get(switch, "/call/lists"))[1]["calls"]}


async def nodes(switch) -> int:
    """Return how many nodes a machine knows."""
    rows = (await get(switch, "/metrics"))[1].splitlines()
    row = next(row for row in rows if row.startswith("softswitch_cluster_nodes{"))
    return int(float(row.rpartition(" ")[2]))


async def until_listed(switch, wanted: set[str], seconds: float) -> float:
    """Wait until a machine lists these calls; return how long it took."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while await ids(switch) != wanted:
            await asyncio.sleep(0.05)
    return time.monotonic() - began


async def test_a_call_is_served_by_both_machines(machines):
    east, west = machines
    async with east.client(id="in-east") as client:
        await client.invite(vad=False)
        await until_listed(west, {"in-east"}, 5)
        assert (await get(west, "/call/in-east"))[1]["id"] == "in-east"
        body = {"command": "mark", "name": "from-west"}
        assert await get(west, "/command/in-east", "POST", json=body) == (200, {"success": True})
        await client.wait("mark")
        text = (await get(west, "/metrics"))[1]
        assert "softswitch_cluster_nodes" in text
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with west.client(id="in-east"):
                pass
        assert refused.value.status == 409
        assert await get(west, "/call/kill/in-east", "POST") == (200, True)


async def test_calls_of_two_machines_hear_each_other(machines):
    east, west = machines
    async with east.client(id="left") as left, west.client(id="right") as right:
        await left.invite(vad=False)
        await right.invite(vad=False)
        await until_listed(east, {"left", "right"}, 5)
        await left.send("bridge", targetSessionId="right")
        await right.wait("bridged")
        talking = asyncio.ensure_future(left.speak(sound.tone(600, 8)))
        await right.until(lambda: sound.share(right.heard()[-8000:], 600) > 0.8, what="right hears nothing")
        talking.cancel()


async def test_requests_without_a_valid_signature_are_refused(machines):
    forged = {"Softswitch-Node": "east.0;1790000000000;00;127.0.0.1;" + "0" * 64}
    assert (await get(machines[0], "/healthz", headers=forged))[0] == 401


async def test_calls_go_on_without_redis_and_the_directory_is_whole_again(machines, server):
    east, west = machines
    async with east.client(id="before") as before:
        await before.invite(vad=False)
        await until_listed(west, {"before"}, 5)
        server.kill()
        await asyncio.sleep(2)
        await before.send("mark", name="still")
        await before.wait("mark")
        async with west.client(id="during") as during:
            await during.invite(vad=False)
            server.start()
            assert await until_listed(east, {"before", "during"}, 10) < 8
            assert await until_listed(west, {"before", "during"}, 10) < 8
            await during.send("mark", name="still")
            await during.wait("mark")
            await before.send("mark", name="again")
            await before.wait("mark", lambda event: event["name"] == "again")
            body = {"command": "mark", "name": "across"}
            async with asyncio.timeout(8):
                while (await get(east, "/command/during", "POST", json=body))[0] != 200:
                    await asyncio.sleep(0.1)


async def test_a_lost_machine_is_forgotten(machines):
    east, west = machines
    async with east.client(id="stays") as stays:
        await stays.invite(vad=False)
        await until_listed(west, {"stays"}, 5)
        west.process.kill()
        async with asyncio.timeout(60):
            while await nodes(east) != 1:
                await asyncio.sleep(0.2)
        await stays.send("mark", name="still")
        await stays.wait("mark")
        assert await ids(east) == {"stays"}
