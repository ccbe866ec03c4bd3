"""What makes this process one of several: the bus, the name of its node, and its address for the others."""

import asyncio
import errno
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from softswitch.app.worker import WorkerLink
from softswitch.bus.bus import Bus
from softswitch.bus.place import Place, socket_path
from softswitch.bus.redis_bus import RedisBus
from softswitch.cluster.accounts import ClusterAccounts
from softswitch.cluster.bridging import FarBridges
from softswitch.cluster.cluster import Cluster
from softswitch.cluster.peers import NodeView
from softswitch.cluster.phones import ClusterPhones
from softswitch.cluster.queues import ClusterQueues
from softswitch.cluster.rooms import ClusterRooms
from softswitch.cluster.webhooks import ClusterWebhooks
from softswitch.errors import ListenError, SettingsError
from softswitch.legs.internal import InternalLegs
from softswitch.legs.sip.transports.handed_over import SipShare
from softswitch.legs.telephones import Telephones
from softswitch.legs.webrtc.shared import MediaPlane
from softswitch.log.tasks import spawn
from softswitch.metrics import Reading
from softswitch.settings import Settings
from softswitch.settings.cluster import PLAIN, host_of, is_public, plain_bus
from softswitch.store.node import this_node
from softswitch.switch.rooms.rooms import Rooms
from softswitch.switch.switch import Switch
from softswitch.web.keys import CLUSTER, QUEUES, WEBHOOKS

PORTS = 64
"""Ports from that of `[cluster] address` on which the workers of one machine share."""
BACKLOG = 512
OPEN_S = 10.0
"""Longest wait for the first words of the supervisor, in seconds."""


@dataclass(slots=True)
class Membership:
    """Membership of this process in a switch of several processes."""

    bus: Bus
    host: str
    """Name of the machine."""
    secret: str
    link: WorkerLink | None = None
    """Link with the supervisor; None: this machine has one process."""
    address: str = ""
    """First host:port at which other machines reach this one; empty: there are none."""
    url: str = ""
    """URL of the bus; empty: it is the hub of the supervisor."""
    _bound: str = ""
    _listening: list[socket.socket] = field(default_factory=list)

    @property
    def workers(self) -> int:
        """Return the number of workers of the machine."""
        return self.link.place.workers if self.link is not None else 1

    def sip_share(self) -> SipShare | None:
        """Return the share of this worker in the SIP sockets of the machine; None: it opens its own."""
        return self.link.sip_share() if self.link is not None else None

    def view(self, sip: str) -> NodeView:
        """Return what the other nodes are told; ``sip`` is where internal legs are taken."""
        place = self.link.place if self.link is not None else None
        path = socket_path(place.run, place.node) if place is not None else ""
        return NodeView(self.host, path, self._bound, sip)

    @property
    def internal_host(self) -> str:
        """Return the address at which internal legs are taken."""
        return self.address.rpartition(":")[0] or "127.0.0.1"

    async def listen(self, runner: web.AppRunner) -> None:
        """Serve the other nodes."""
        if self.link is not None:
            place = self.link.place
            await web.UnixSite(runner, socket_path(place.run, place.node)).start()
        for made in self._listening:
            await web.SockSite(runner, made).start()

    def bind(self) -> None:
        """Bind the address for other machines: workers take the ports from the first one on.

        Raises:
            ListenError: None of the ports is free, or the address is not local.
        """
        if not self.address:
            return
        host, _, first = self.address.rpartition(":")
        bare = host.strip("[]")
        for port in range(int(first), int(first) + PORTS):
            made = socket.socket(socket.AF_INET6 if ":" in bare else socket.AF_INET, socket.SOCK_STREAM)
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                made.bind((bare, port))
            except OSError as error:
                made.close()
                if error.errno != errno.EADDRINUSE or port == int(first) + PORTS - 1:
                    raise ListenError(
                        error, f"TCP {host}:{port}", "choose another", section="cluster", key="address"
                    ) from None
            else:
                made.listen(BACKLOG)
                self._listening = [made]
                self._bound = f"{host}:{port}"
                return

    async def open(self) -> None:
        """Begin to read the bus, and learn which nodes there are.

        Raises:
            ListenError: The address for other machines is in use or not local.
            SettingsError: Bus or address lead to a public network.
        """
        if self.link is not None:
            self.link.open()
            async with asyncio.timeout(OPEN_S):
                await self.link.bus.known.wait()
        if isinstance(self.bus, RedisBus):
            await refuse_public("bus", plain_bus(self.url))
            await self.bus.start()
        await refuse_public("address", host_of(self.address))
        self.bind()

    async def close(self) -> None:
        """Leave the bus."""
        if isinstance(self.bus, RedisBus):
            await self.bus.stop()


def membership(settings: Settings, place: Place | None) -> Membership | None:
    """Return the membership that settings and supervisor ask for; None: this process is alone.

    Raises:
        UnavailableError: The extra [redis] is not installed.
    """
    cluster = settings.cluster
    if place is None and not cluster.bus:
        return None
    link = WorkerLink(place) if place is not None else None
    if not cluster.bus:
        return Membership(link.bus, place.host, place.secret, link) if link is not None and place else None
    host = place.host if place is not None else cluster.node or this_node(settings.paths.root()).name
    number = place.number if place is not None else 0
    bus = RedisBus(cluster.bus, f"{host}.{number}-{secrets.token_hex(3)}", cluster.ttl_s)
    return Membership(bus, host, cluster.secret, link, address=cluster.address, url=cluster.bus)


async def refuse_public(key: str, host: str) -> None:
    """Raise SettingsError where a host of `[cluster]` has a public address; a host without any is fine."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None) if host else []
    except OSError:
        return  # connecting, or listening, tells that
    for *_, address in found:
        if is_public(str(address[0])):
            raise SettingsError(f"{host} has the address {address[0]}: {PLAIN}", section="cluster", key=key)


def join(
    app: web.Application,
    member: Membership,
    switch: Switch,
    rooms: Rooms,
    telephones: Telephones | None,
    engine: MediaPlane,
) -> None:
    """Make an application one of several; it starts and stops with it."""
    app[CLUSTER] = cluster = Cluster(member.bus, member.host, member.secret, switch)
    if telephones is not None:
        cluster.accounts = ClusterAccounts(member.bus, telephones.sip.shared, cluster.shares)
        telephones.sip.guard.share = cluster.accounts.share
    if telephones is not None and member.link is not None:
        # Another worker of this machine can end its calls: it has the same sockets.
        cluster.dialogs = telephones.sip.orphans
        cluster.on_heir = member.link.inherit
    resources = switch.resources
    legs = InternalLegs(
        resources.settings, engine, cluster.signer.sign, cluster.signer.check, member.internal_host
    )
    if isinstance(member.bus, RedisBus):
        bus = member.bus
        bus.probe = cluster.peers.answers
        bus.on_back = cluster.rejoin
        bus.on_fenced = cluster.fenced
        resources.metrics.register(lambda: redis_figures(bus))
    legs.on_leg = cluster.take_leg
    member.bus.on_lost(legs.lose)
    cluster.bridges = FarBridges(switch, cluster.owned, cluster.peers, legs)
    cluster.rooms = far_rooms = ClusterRooms(rooms, switch, cluster.owned, cluster.peers, legs)
    cluster.queues = ClusterQueues(app[QUEUES], member.bus)
    cluster.phones = ClusterPhones(switch, cluster.peers, legs)
    if telephones is not None:
        telephones.sip.reach(cluster.phones.find)
    cluster.lost_nodes.acts.insert(0, far_rooms.adopt)
    resources.dialers = {**resources.dialers, "room": far_rooms}
    resources.refuse_callee = far_rooms.refuse_callee
    ClusterWebhooks(member.bus, app[WEBHOOKS])
    resources.metrics.register(lambda: figures(cluster, legs))

    async def running(app: web.Application) -> AsyncIterator[None]:
        await member.open()
        await legs.start()
        await cluster.start(member.view(legs.address))
        yield
        await far_rooms.leave()
        await cluster.stop()
        await member.close()

    app.cleanup_ctx.append(running)
    app.on_cleanup.append(lambda app: legs.stop())


def redis_figures(bus: RedisBus) -> list[Reading]:
    """Return the numbers of the bus through Redis for /metrics."""
    return [
        Reading("bus_up", float(bus.is_up), "gauge"),
        Reading("bus_failures", bus.failures),
        Reading("bus_messages_dropped", bus.dropped),
    ]


def figures(cluster: Cluster, legs: InternalLegs) -> list[Reading]:
    """Return the numbers of the cluster for /metrics."""
    peers = cluster.peers
    return [
        Reading("cluster_nodes", len(cluster.bus.nodes()), "gauge"),
        Reading("cluster_internal_legs", legs.count, "gauge"),
        Reading("cluster_bridges", len(cluster.bridges or ()), "gauge"),
        Reading("cluster_internal_legs_refused", legs.refused),
        Reading("cluster_requests", peers.asked),
        Reading("cluster_requests_failed", peers.failed),
        Reading("cluster_signatures_refused", cluster.signer.refused),
        Reading("cluster_puts_failed", cluster.owned.failed),
        Reading("cluster_nodes_cleared", cluster.lost_nodes.cleared),
    ]


def follow(
    member: Membership, channel: str, told: Callable[[str], Coroutine[Any, Any, None]]
) -> Callable[[str], None]:
    """Hear what other processes of the switch say on a channel; return what tells it to them."""
    bus = member.bus

    def hear(data: bytes, node: str) -> None:
        if node != bus.node:
            spawn(told(data.decode()), package="switch", name=channel)

    def tell(what: str) -> None:
        bus.publish(channel, what.encode())

    bus.subscribe(channel, hear)
    return tell
