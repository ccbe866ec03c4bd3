"""Delay of a command on a call of another worker, and of another machine through Redis, beside an own call.

One call stands at one worker (or machine); commands go to it over connections of both. A third series asks
for `/healthz`: what HTTP and the generator take themselves. It prints the fastest tenth, medians and 99th
percentiles in milliseconds, processor time of the switch for a request, and that of the generator.

    python bench/any_node.py [commands]
"""

import asyncio
import contextlib
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.workers import processes, used
from tests.support.ports import free_port
from tests.support.redis import redis_server
from tests.support.switch import SwitchProcess

BASE = {"SOFTSWITCH_SPEECH_PRELOAD": "false", "SOFTSWITCH_LIMITS_OVERLOAD": "false"}
CONNECTIONS = 16
"""Connections that are tried until one is at each worker."""
PACE_S = 0.01


async def series(session: aiohttp.ClientSession, method: str, url: str, count: int) -> list[float]:
    """Send requests one after the other; return how long each took, in milliseconds."""
    taken = []
    body = {"command": "mark", "name": "x"} if method == "POST" else None
    for _ in range(count):
        await asyncio.sleep(PACE_S)
        began = time.perf_counter()
        async with session.request(method, url, json=body) as answer:
            await answer.read()
            assert answer.status == 200, answer.status
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def show(what: str, taken: list[float], spent: float) -> None:
    """Print a line; `spent` is the processor time of the switch in seconds."""
    ordered = sorted(taken)
    tenth, last = ordered[len(ordered) // 10], ordered[len(ordered) * 99 // 100]
    print(
        f"{what:34} fastest tenth {tenth:6.2f} ms, median {statistics.median(ordered):6.2f} ms, "
        f"p99 {last:6.2f} ms, processor {spent / len(taken) * 1000:.2f} ms"
    )


Series = tuple[str, aiohttp.ClientSession, str, str]
"""What it is, the client, method and URL."""


async def compare(kind: str, wanted: list[Series], switches: list[SwitchProcess], count: int) -> None:
    """Send the series in turn, ten times; print them."""
    taken: dict[str, list[float]] = {what: [] for what, *_ in wanted}
    spent = dict.fromkeys(taken, 0.0)
    pids = [pid for switch in switches for pid in processes(switch.process.pid)]
    own = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(10):
        for what, session, method, url in wanted:
            before = sum(used(pid) for pid in pids)
            taken[what] += await series(session, method, url, count // 10)
            spent[what] += sum(used(pid) for pid in pids) - before
    later = resource.getrusage(resource.RUSAGE_SELF)
    for what, each in taken.items():
        show(f"{kind}: {what}", each, spent[what])
    mine = later.ru_utime + later.ru_stime - own.ru_utime - own.ru_stime
    print(f"{kind}: the generator's own processor time: {mine / len(wanted) / count * 1000:.2f} ms a request")


async def machines(east: SwitchProcess, west: SwitchProcess, count: int) -> None:
    """Hold a call at one machine; send commands to both."""
    near, far = east.url("").rstrip("/"), west.url("").rstrip("/")
    async with aiohttp.ClientSession() as one, aiohttp.ClientSession() as two, held(one, near):
        wanted: list[Series] = [
            ("/healthz", one, "GET", f"{near}/healthz"),
            ("command, an own call", one, "POST", f"{near}/command/held"),
            ("command, another one's", two, "POST", f"{far}/command/held"),
        ]
        await compare("machines", wanted, [east, west], count)


@contextlib.asynccontextmanager
async def held(session: aiohttp.ClientSession, base: str) -> AsyncIterator[None]:
    """Hold a call that is silent."""
    socket = await session.ws_connect(f"{base}/call?id=held".replace("http", "ws", 1))
    await socket.send_json({"command": "invite", "option": {"vad": {"type": "off"}}})
    reading = asyncio.ensure_future(drain(socket))
    await asyncio.sleep(1)
    yield
    reading.cancel()
    await socket.close()


async def drain(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Read events."""
    async for _ in socket:
        pass


@contextlib.contextmanager
def two_machines(folder: Path) -> Iterator[list[SwitchProcess]]:
    """Run two machines on one Redis."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder / "redis"))
        yield [
            stack.enter_context(
                SwitchProcess(
                    folder / name,
                    BASE
                    | {
                        "SOFTSWITCH_CLUSTER_BUS": redis.url,
                        "SOFTSWITCH_CLUSTER_NODE": name,
                        "SOFTSWITCH_CLUSTER_ADDRESS": f"127.0.0.1:{free_port()}",
                        "SOFTSWITCH_CLUSTER_SECRET": "a secret of the machines of one switch",
                    },
                )
            )
            for name in ("east", "west")
        ]


def main() -> None:
    """Measure both."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with SwitchProcess(folder / "workers", BASE | {"SOFTSWITCH_SERVER_WORKERS": "2"}) as switch:
            asyncio.run(workers(switch, count))
        with two_machines(folder) as (east, west):
            asyncio.run(machines(east, west, count))


async def workers(switch: SwitchProcess, count: int) -> None:
    """Hold a call; find a connection at each of two workers, and send commands over both."""
    base = switch.url("").rstrip("/")
    async with contextlib.AsyncExitStack() as stack:
        holder = await stack.enter_async_context(aiohttp.ClientSession())
        await stack.enter_async_context(held(holder, base))
        sessions = [
            await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)))
            for _ in range(CONNECTIONS)
        ]
        forwarded = []
        for session in sessions:
            before = await requests_between(holder, base)
            await series(session, "POST", f"{base}/command/held", 5)
            forwarded.append(await requests_between(holder, base) - before >= 5)
        assert len(set(forwarded)) == 2, "all connections went to one worker"
        own, far = sessions[forwarded.index(False)], sessions[forwarded.index(True)]
        wanted: list[Series] = [
            ("/healthz", own, "GET", f"{base}/healthz"),
            ("command, an own call", own, "POST", f"{base}/command/held"),
            ("command, another one's", far, "POST", f"{base}/command/held"),
        ]
        await compare("workers", wanted, [switch], count)


async def requests_between(session: aiohttp.ClientSession, base: str) -> int:
    """Return how many `POST` requests workers have sent each other; reading metrics sends one."""
    async with session.get(f"{base}/metrics") as answer:
        rows = (await answer.text()).splitlines()
    found = [row for row in rows if row.startswith("softswitch_cluster_requests_total{")]
    return int(sum(float(row.rpartition(" ")[2]) for row in found))


if __name__ == "__main__":
    main()
