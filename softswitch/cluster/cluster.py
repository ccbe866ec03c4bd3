"""This node of the switch: its bus, its entries, its peers, and what it does for lost nodes."""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import msgspec

from softswitch.bus.bus import Bus, BusError
from softswitch.call.interfaces import IncomingCall
from softswitch.cluster.accounts import ASK, ClusterAccounts
from softswitch.cluster.bridging import DIALOG, FarBridges
from softswitch.cluster.lost import LostNodes
from softswitch.cluster.owned import Owned, OwnedCalls, Shares
from softswitch.cluster.peers import PING, NodeView, Peers
from softswitch.cluster.phones import ClusterPhones
from softswitch.cluster.queues import ClusterQueues
from softswitch.cluster.rooms import ClusterRooms
from softswitch.cluster.signing import Signer
from softswitch.errors import UnavailableError
from softswitch.log.tasks import Tasks
from softswitch.switch.switch import Switch

logger = logging.getLogger(__name__)

AT_ONCE = 50
"""Calls of a lost node that are ended in one round of the loop."""
PAUSE_S = 0.02
"""Time between two such rounds, in seconds."""
START_S = 30.0
"""Lifetime of the lease under which the records of an earlier run are closed, in seconds."""
ROUND_S = 0.25
"""Period in which the counts of this node are told, in seconds."""


class Dialogs(Protocol):
    """The SIP calls of this node, as far as other nodes may have to end them."""

    def watch(self, on_touched: Callable[[], None]) -> None:
        """Have a function called when a call may have changed."""

    def changes(self, *, every: bool = False) -> dict[str, bytes | None]:
        """Return what has changed since the last time, by session; None: the call has ended."""

    def end(self, value: bytes) -> None:
        """End a call of a lost node."""


class Cluster:
    """One node among others."""

    def __init__(self, bus: Bus, host: str, secret: str, switch: Switch) -> None:
        """Prepare; `start` comes next.

        Args:
            bus: The bus.
            host: Name of this machine.
            secret: Secret of all nodes.
            switch: The calls of this process.
        """
        self.bus = bus
        self.host = host
        self._switch = switch
        self.signer = Signer(secret, bus.node, time.time, os.urandom)
        self.peers = Peers(bus, host, self.signer)
        self.owned = Owned(bus)
        self.shares = Shares(bus)
        self._tasks = Tasks("cluster")
        switch.followers.append(OwnedCalls(self.owned).follow)
        switch.elsewhere = self._elsewhere
        # A client that learns the id of its call may name it at once, at another node.
        switch.tell = lambda call_id: self.owned.told(f"call:{call_id}")
        self.lost_nodes = LostNodes(bus)
        self.lost_nodes.acts.append(self._close_records)
        self.dialogs: Dialogs | None = None
        self._saving = False
        self.accounts: ClusterAccounts | None = None
        self.bridges: FarBridges | None = None
        self.rooms: ClusterRooms | None = None
        self.phones: ClusterPhones | None = None
        self.queues: ClusterQueues | None = None
        self.on_heir: Callable[[str], None] = lambda node: None
        """Called before this node ends the SIP calls of a lost one: their messages are to come here."""
        bus.serve(self._answer)
        bus.subscribe("hello", self._hello)

    async def start(self, view: NodeView) -> None:
        """Put this node on the bus, and begin to tell."""
        self.owned.start()
        self.owned.put(f"node:{self.bus.node}", msgspec.msgpack.encode(view))
        self.bus.publish("hello", msgspec.msgpack.encode(view))
        for node in self.peers.others():
            try:
                await self.peers.view(node)
            except BusError:
                continue  # it says hello when it has started
        if self.dialogs is not None:
            self.dialogs.watch(self._touched)
        if self.accounts is not None:
            await self.accounts.start()
        self._tasks.spawn(self._tell(), name="counts of this node")
        self._tasks.spawn(self._close_left_open(), name="records of lost nodes")

    async def stop(self) -> None:
        """Stop telling, and close the connections to other nodes."""
        self._tasks.cancel()
        self.lost_nodes.stop()
        if self.queues is not None:
            await self.queues.stop()
        if self.accounts is not None:
            await self.accounts.stop()
        self.owned.stop()
        await self.peers.close()

    def rejoin(self) -> None:
        """Put and tell everything again: the bus may have lost it."""
        self.owned.again()
        self.shares.tell_all()
        if self.queues is not None:
            self.queues.again()

    def fenced(self) -> None:
        """End all calls: the other nodes have declared this one lost, and may have taken what it had."""
        self._tasks.spawn(self._switch.end_all(), name="calls of a fenced node")
        self.rejoin()

    async def _tell(self) -> None:
        while True:
            self.shares.tell(self._counts())
            self._save_dialogs(every=True)
            await asyncio.sleep(ROUND_S)

    def _counts(self) -> Counter[str]:
        """Return how many calls each account and address has here."""
        counts: Counter[str] = Counter({f"calls:{self.host}": len(self._switch)})
        for conversation in self._switch.conversations():
            if conversation.owner:
                counts[f"owner:{conversation.owner}"] += 1
            if conversation.address:
                counts[f"address:{conversation.address}"] += 1
            trunk = conversation.source.trunk or conversation.call.trunk
            if trunk:
                counts[f"trunk:{trunk}"] += 1
        return counts

    def _touched(self) -> None:
        """Save what has changed once the events of this moment are handled."""
        if not self._saving:
            self._saving = True
            asyncio.get_running_loop().call_soon(self._save_dialogs)

    def _save_dialogs(self, *, every: bool = False) -> None:
        """Put on the bus what it takes to end the SIP calls of this node."""
        self._saving = False
        if self.dialogs is None:
            return
        for session, value in self.dialogs.changes(every=every).items():
            if value is None:
                self.owned.delete(f"dialog:{self.bus.node}:{session}")
            else:
                self.owned.put(f"dialog:{self.bus.node}:{session}", value)

    async def _close_records(self, node: str, entries: dict[str, bytes]) -> None:
        """Close the records of a lost node, and end its SIP calls."""
        if self.dialogs is not None:
            ending = [value for key, value in entries.items() if key.startswith("dialog:")]
            if ending:
                self.on_heir(node)
            for number, value in enumerate(ending):
                self.dialogs.end(value)
                if number % AT_ONCE == AT_ONCE - 1:
                    await asyncio.sleep(PAUSE_S)
        await self._switch.resources.store.close_node(node)

    async def _close_left_open(self) -> None:
        """Close what an earlier run of this machine has left open; one of its workers does that."""
        try:
            if await self.bus.lease(f"start:{self.host}", START_S) is not None:
                await self._switch.resources.store.close_lost(self.host, self.bus.nodes())
        except (BusError, UnavailableError) as error:
            logger.warning("records of an earlier run are left open", extra={"error": str(error)})

    def _elsewhere(self, key: str) -> int:
        return self.shares.elsewhere(f"calls:{self.host}" if key == "calls" else key)

    def _hello(self, data: bytes, node: str) -> None:
        self.peers.learn(node, msgspec.msgpack.decode(data, type=NodeView))
        self.shares.tell_all()

    def take_leg(self, destination: str, said: str, call: IncomingCall) -> None:
        """Take an internal leg of another node."""
        kind, _, name = destination.partition(":")
        if kind == "call" and self.bridges is not None:
            self.bridges.take(name, said, call)
        elif kind == "user" and self.phones is not None:
            self.phones.take(name, call)
        elif kind == "room" and self.rooms is not None:
            self.rooms.take(name, said, call)
        else:
            call.reject(404, "Not Found")

    async def _answer(self, data: bytes, node: str) -> bytes:
        if data == PING:
            return b"pong"
        if self.accounts is not None and data.startswith(ASK):
            return self.accounts.answer(data)
        if self.bridges is not None and data.startswith(DIALOG):
            return self.bridges.answer(data)
        if self.queues is not None and (answer := self.queues.answer(data)) is not None:
            return answer
        raise BusError(f"a request of the node {node} is unknown")
