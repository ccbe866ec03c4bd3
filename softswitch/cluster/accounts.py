"""Registrations, trunks and failed logins of all nodes as if they were of one."""

import asyncio
import logging
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from softswitch.bus.bus import Bus, BusError, Fenced
from softswitch.cluster.owned import Shares
from softswitch.log.tasks import Tasks

logger = logging.getLogger(__name__)

TRUNK_TTL_S = 15.0
"""Lifetime of the lease under which a trunk is registered, in seconds."""
ROUND_S = 5.0
"""Period in which leases are renewed, in seconds."""
ASK = b"registrations:"
"""Request for a page of registrations, with the last name of the page before."""
MOST_PAGES = 10_000


class Accounts(Protocol):
    """The SIP accounts of this node."""

    on_registered: Callable[[bytes], None]
    on_failed_login: Callable[[str], None]

    def begin(self) -> None:
        """Begin to tell what happens here."""

    def learn(self, data: bytes, *, machine: str) -> None:
        """Take over registrations of a node of another machine; empty: of this one."""

    def page(self, after: str) -> tuple[bytes, str]:
        """Return registrations of users behind a name, and the last name; empty: these were the last."""

    def keep_alive(self, keeps: Callable[[str], bool]) -> None:
        """Set which users' phones get keep-alives from this node."""

    def registering_trunks(self) -> list[str]:
        """Return the names of the trunks that the switch registers at."""

    def hold_trunk(self, name: str, *, held: bool) -> None:
        """Register at a trunk from now on, or leave that to another node."""

    def limit_trunks(self, elsewhere: Callable[[str], int], share: Callable[[], float]) -> None:
        """Have the limits of trunks hold for all nodes together."""

    def login_failed(self, host: str) -> None:
        """Count a failed login at another node."""


class ClusterAccounts:
    """Shares the accounts of this node with the others."""

    def __init__(self, bus: Bus, accounts: Accounts, shares: Shares) -> None:
        """Listen to the others, and begin to tell them."""
        self._bus = bus
        self._accounts = accounts
        self._tasks = Tasks("cluster")
        self._leases: dict[str, Fenced] = {}
        accounts.on_registered = lambda data: bus.publish("registered", data)
        accounts.on_failed_login = lambda host: bus.publish("login-failed", host.encode())
        accounts.keep_alive(self._keeps)
        accounts.limit_trunks(lambda name: shares.elsewhere(f"trunk:{name}"), self.share)
        bus.subscribe("registered", lambda data, node: accounts.learn(data, machine=self._machine(node)))
        bus.subscribe("login-failed", lambda data, node: accounts.login_failed(data.decode()))
        accounts.begin()

    def share(self) -> float:
        """Return the share of this node in rates that all nodes keep together."""
        return 1.0 / max(1, len(self._bus.nodes()))

    async def start(self) -> None:
        """Learn the registrations that others have, and begin to ask for the leases of trunks."""
        learnt: set[str] = set()
        for node in self._bus.nodes():
            # Only a node of its machine knows the connections of a phone.
            if node != self._bus.node and self._machine(node) not in learnt and await self._learn_from(node):
                learnt.add(self._machine(node))
        self._tasks.spawn(self._hold_trunks(), name="leases of trunks")

    async def retire(self) -> None:
        """Leave the trunks to other nodes now, and take none again: this node ends with its last call.

        Its registrations stay at the registrars: the next holder registers the same address.
        """
        for name in self._leases:
            self._accounts.hold_trunk(name, held=False)
        await self.stop()
        self._leases.clear()

    async def stop(self) -> None:
        """Give the leases back, so that another node registers at once."""
        self._tasks.cancel()
        for lease in self._leases.values():
            try:
                await self._bus.release(lease)
            except BusError:
                return

    def answer(self, data: bytes) -> bytes:
        """Return a page of registrations and the name to ask on with."""
        page, last = self._accounts.page(data.removeprefix(ASK).decode())
        return msgspec.msgpack.encode((page, last))

    async def _learn_from(self, node: str) -> bool:
        after = ""
        try:
            for _ in range(MOST_PAGES):
                answer = await self._bus.request(node, ASK + after.encode())
                page, last = msgspec.msgpack.decode(answer, type=tuple[bytes, str])
                self._accounts.learn(page, machine=self._machine(node))
                if not last:
                    return True
                after = last
        except BusError:
            return False
        return True

    def _machine(self, node: str) -> str:
        """Return the name of a node's machine; empty: it is this one."""
        machine = node.rpartition(".")[0]
        return machine if machine != self._bus.node.rpartition(".")[0] else ""

    def _keeps(self, name: str) -> bool:
        """Tell whether this node sends the keep-alives of a user: the one with the highest hash does."""
        nodes = self._bus.nodes()
        return max(nodes, key=lambda node: zlib.crc32(f"{node} {name}".encode())) == self._bus.node

    async def _hold_trunks(self) -> None:
        while True:
            names = self._accounts.registering_trunks()
            for gone in self._leases.keys() - set(names):
                with suppress(BusError):
                    await self._bus.release(self._leases.pop(gone))
            for name in names:
                try:
                    lease = await self._bus.lease(f"trunk:{name}", TRUNK_TTL_S)
                except BusError:
                    continue  # the registration goes on: no other node can take the lease now
                held = lease is not None
                if held != (name in self._leases):
                    self._accounts.hold_trunk(name, held=held)
                if lease is not None:
                    self._leases[name] = lease
                else:
                    self._leases.pop(name, None)
            await asyncio.sleep(ROUND_S)
