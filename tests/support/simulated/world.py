"""A simulated switch of one node, or of several on a Redis bus, with its clients and its faults."""

import asyncio
import itertools
import json
import random
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from softswitch.app import SWITCH, build
from softswitch.app.membership import Membership
from softswitch.bus.hub import Hub
from softswitch.bus.hub_bus import HubBus
from softswitch.bus.redis_bus import RedisBus
from softswitch.cluster.peers import NodeView
from softswitch.settings import Settings
from softswitch.web.keys import CLUSTER, SIP
from tests.support.simulated.clock import Ordered, SimClock, SimLoop, simulated_time
from tests.support.simulated.network import SipNetwork, WebServers
from tests.support.simulated.patches import Owner, patched
from tests.support.simulated.redis import SimRedis

SECRET = "a secret of the nodes of one switch"
TTL_S = 2.0
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")

UNNAMED = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Random ids that have no name: no client has chosen or asked for them."""


class SimMembership(Membership):
    """Membership of a node whose web server is in memory."""

    async def open(self) -> None:
        """Join the bus."""
        if isinstance(self.bus, RedisBus):
            await self.bus.start()
        elif isinstance(self.bus, HubBus):
            await self.bus.known.wait()

    async def listen(self, runner: web.AppRunner) -> None:
        """Listen nowhere."""

    def view(self, sip: str) -> NodeView:
        """Return what the other nodes are told."""
        return NodeView(self.host, "", f"{self.bus.node}:80", sip)


class Room:
    """The clock, the loop and the networks that all worlds of one simulation share."""

    def __init__(self, seed: int, delay_s: float = 0.002) -> None:
        """Begin.

        Args:
            seed: of all delays.
            delay_s: longest delay of one message, in seconds.
        """
        self.clock = SimClock()
        self.loop = SimLoop(self.clock)
        self.random = random.Random(seed)
        self.delay_s = delay_s
        self.bus_delay_s = delay_s
        self.sip = SipNetwork(self.delay)
        self.webs = WebServers(self.delay)
        self.servers: dict[str, SimRedis] = {}
        self.worlds: list[World] = []
        self._stack = ExitStack()

    def delay(self) -> float:
        """Return the delay of one message of clients or nodes, in seconds."""
        return self.random.uniform(0.0001, self.delay_s)

    def bus_delay(self) -> float:
        """Return the delay of one message of the bus, in seconds."""
        return self.random.uniform(0.0001, self.bus_delay_s)

    def __enter__(self) -> Self:
        self._stack.enter_context(simulated_time(self.clock))
        self._stack.enter_context(patched(self.loop, self.sip, self.servers))
        asyncio.set_event_loop(self.loop)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.run(self._stop())
        finally:
            self._stack.close()
            asyncio.set_event_loop(None)
            self.loop.close()

    def run(self, work: Any) -> Any:
        """Do something, and let time pass until it is done."""
        return self.loop.run_until_complete(work)

    async def _stop(self) -> None:
        for world in self.worlds:
            await world.stop()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await asyncio.sleep(0.1)


class World:
    """One switch."""

    def __init__(
        self,
        room: Room,
        name: str,
        folder: Path,
        nodes: int,
        settings: Callable[[str], Settings],
        *,
        workers: bool = False,
        apart: bool = False,
    ) -> None:
        """Build it.

        Args:
            room: where it runs.
            name: of the world.
            folder: of its data.
            nodes: number of nodes; 1: a process that is alone.
            settings: returns the settings of a node, from the path of its data folder.
            workers: the nodes are workers of one machine, on a hub; else machines, on Redis.
            apart: each node has a folder of its own in `folder`; else all share it.
        """
        self.room = room
        self.name = name
        self.is_of_workers = workers
        self.nodes = [f"{name}-{number}" for number in range(nodes)]
        self._folders: dict[str, Path] = {}
        self._joins: list[Callable[[], None]] = []
        self._hub = Hub(clock=room.clock.monotonic) if workers else None
        self.apps: dict[str, web.Application] = {}
        self._runners: dict[str, web.AppRunner] = {}
        self.gone: set[str] = set()
        """Nodes that are cut off for good."""
        self.redis = room.servers[name] = SimRedis(room.clock.time, room.bus_delay)
        self._clients: dict[str, aiohttp.ClientSession] = {}
        for node in self.nodes:
            Owner.name = node
            member = None
            if nodes > 1:
                address = "127.0.0.1:80" if apart and not workers else ""
                member = SimMembership(self._bus(node), name if workers else node, SECRET, address=address)
            own = self._folders[node] = folder / node if apart else folder
            own.mkdir(parents=True, exist_ok=True)
            self.apps[node] = app = build(settings(str(own)), member)
            cluster = app[CLUSTER]
            if cluster is not None:
                cluster.peers.connector = partial(self._connector, node)
        room.worlds.append(self)

    def _bus(self, node: str) -> RedisBus | HubBus:
        """Return the bus of a node. Its name is the same in each run: choices by hash are, too."""
        if self._hub is None:
            return RedisBus(f"redis://{self.name}/{node}", self.bus_name(node), TTL_S)
        name, hub, loop = self.bus_name(node), self._hub, self.room.loop
        up, down = Ordered(loop, self.room.bus_delay), Ordered(loop, self.room.bus_delay)

        def send(data: bytes) -> bool:
            up.deliver(partial(hub.receive, name, data))
            return True

        def take(data: bytes) -> bool:
            down.deliver(partial(bus.receive, data))
            return True

        bus = HubBus(name, send)
        self._joins.append(partial(hub.add, name, take))
        return bus

    def bus_name(self, node: str) -> str:
        """Return the name of a node on the bus."""
        return f"{self.name if self.is_of_workers else node}.{node.rpartition('-')[2]}"

    def _connector(self, node: str, view: NodeView) -> Any:
        host, _, number = view.address.partition(":")[0].rpartition(".")
        return self.room.webs.connector(node, f"{host}-{number}" if self._hub is not None else host)

    async def start(self) -> None:
        """Start all nodes."""
        for join in self._joins:
            join()
        for node, app in self.apps.items():
            Owner.name = node
            runner = self._runners[node] = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            self.room.webs.add(node, runner)
        for node in self.nodes:
            self._clients[node] = self.room.webs.client("client", node)
        await asyncio.sleep(2 * TTL_S + 1 if len(self.nodes) > 1 else 0)

    async def stop(self) -> None:
        """Stop all nodes."""
        for client in self._clients.values():
            await client.close()
        for runner in self._runners.values():
            with suppress(asyncio.CancelledError):
                await runner.cleanup()

    @property
    def live(self) -> list[str]:
        """Names of the nodes that are not cut off."""
        return [node for node in self.nodes if node not in self.gone]

    def folder_of(self, number: int) -> Path:
        """Return the data folder of a node."""
        return self._folders[self.nodes[number]]

    def sip_port(self, number: int) -> int:
        """Return the SIP port of a live node."""
        telephones: Any = self.apps[self.node(number)][SIP]
        return int(telephones.sip.port)

    def node(self, number: int) -> str:
        """Return one of the live nodes."""
        return self.live[number % len(self.live)]

    def calls(self) -> dict[str, str]:
        """Return the node of each live call."""
        return {
            conversation.id: node
            for node in self.live
            for conversation in self.apps[node][SWITCH].conversations()
            if not conversation.is_internal
        }

    # --- clients ------------------------------------------------------------------------------

    async def ask(self, node: int, method: str, path: str, key: str, body: Any = None) -> tuple[int, Any]:
        """Send a request to a node; return status and body."""
        client = self._clients[self.node(node)]
        async with client.request(
            method, f"http://127.0.0.1:8080{path}", json=body, headers={"Authorization": f"Bearer {key}"}
        ) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(text) if is_json and text else text

    async def socket(self, node: int, path: str, key: str) -> "Socket":
        """Open a WebSocket at a node; its handshake may be refused."""
        name = self.node(node)
        made = Socket(name)
        try:
            made.socket = await self._clients[name].ws_connect(
                f"http://127.0.0.1:8080{path}", headers={"Authorization": f"Bearer {key}"}, heartbeat=None
            )
        except aiohttp.WSServerHandshakeError as error:
            made.said.append(("refused", error.status))
            return made
        made.reading = asyncio.ensure_future(made.read())
        return made

    # --- faults -------------------------------------------------------------------------------

    def isolate(self, node: str, *, clients: bool) -> None:
        """Cut a node off from the bus and the other nodes, and from its clients as well."""
        self.redis.cut.add(node)
        self.redis.drop_readers()
        for other in self.nodes:
            if other != node:
                self.room.webs.break_off(node, other)
                self.room.sip.apart.add(frozenset((node, other)))
        if clients:
            self.room.webs.break_off("client", node)
            self.room.sip.apart.add(frozenset(("phone", node)))

    def heal(self, node: str) -> None:
        """Connect a node again."""
        self.redis.cut.discard(node)
        self.room.webs.apart = {pair for pair in self.room.webs.apart if node not in pair}
        self.room.sip.apart = {pair for pair in self.room.sip.apart if node not in pair}

    def lose(self, node: str) -> None:
        """Cut a node off for good, as if its machine had died."""
        self.gone.add(node)
        self.isolate(node, clients=True)


class Socket:
    """A WebSocket of a client, with what it was told."""

    def __init__(self, node: str) -> None:
        """Prepare; `node` is the one it is connected with."""
        self.node = node
        self.socket: aiohttp.ClientWebSocketResponse
        self.said: list[tuple[str, Any]] = []
        """Events and the end, each with its kind."""
        self.octets = 0
        self.reading: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self.reading is not None and not self.reading.done()

    async def read(self) -> None:
        """Note everything until the end."""
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                event = json.loads(message.data)
                self.said.append((event.get("event") or event.get("type"), event))
            elif message.type is aiohttp.WSMsgType.BINARY:
                self.octets += len(message.data)
        self.said.append(("closed", self.socket.close_code))

    async def cut(self) -> None:
        """End the connection, where it is open."""
        if self.is_open:
            with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                await self.socket.close()

    async def send(self, **command: Any) -> None:
        """Send a message."""
        with suppress(aiohttp.ClientError, ConnectionError):
            await self.socket.send_json(command)


class Names:
    """Names for ids that a world has chosen, in the order in which they appear."""

    def __init__(self) -> None:
        """Start without ids."""
        self._names: dict[str, str] = {}
        self._numbers = itertools.count()

    def give(self, found: str, name: str) -> None:
        """Name an id."""
        self._names[found] = name

    def plain(self, value: Any) -> Any:
        """Return a value with names in place of ids, and without what no two worlds share."""
        match value:
            case dict():
                return {
                    key: "…" if key in _TIMES and one is not None else self.plain(one)
                    for key, one in value.items()
                    if key not in _OWN
                }
            case list() | tuple():
                return [self.plain(one) for one in value]
            case str():
                for found, name in self._names.items():
                    value = value.replace(found, name)
                return UNNAMED.sub("id", INSTANT.sub("…", value))
            case int() if value > 1_000_000_000_000:
                return "…"
            case _:
                return value


_TIMES = {"duration", "durationMs", "position"}
_OWN = {"resume", "sdp", "iceServers", "session_id"}


def differences(one: Any, many: Any, place: str = "") -> list[str]:
    """Return where two values differ, one line a place."""
    if isinstance(one, dict) and isinstance(many, dict):
        return [
            line
            for key in sorted(one.keys() | many.keys(), key=str)
            for line in differences(one.get(key, "(missing)"), many.get(key, "(missing)"), f"{place}.{key}")
        ]
    if isinstance(one, list) and isinstance(many, list):
        return [
            line
            for number, (left, right) in enumerate(itertools.zip_longest(one, many, fillvalue="(missing)"))
            for line in differences(left, right, f"{place}[{number}]")
        ]
    return [] if one == many else [f"{place}: one process {one!r}, three nodes {many!r}"]
