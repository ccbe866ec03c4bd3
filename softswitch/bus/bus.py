"""Interface of the bus, which all its implementations share (docs/adr/0032)."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from softswitch.errors import UnavailableError

MOST_BYTES = 65_536
"""Octets of the largest value or message."""
VERSION = 1
"""Version of the messages. A node works with messages of its own version and of the next one."""


class BusError(UnavailableError):
    """The bus, or the node that was asked, did not answer in time."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A value that a node has put; it is deleted with its node."""

    key: str
    value: bytes
    node: str


class Fenced(msgspec.Struct, frozen=True, array_like=True):
    """A lease of a key, of which one node at a time has one."""

    key: str
    fence: int
    """Grows with each new holder: what a former holder writes can be told apart and refused."""


OnMessage = Callable[[bytes, str], None]
"""Receives a message and the node that published it."""
OnRequest = Callable[[bytes, str], Awaitable[bytes]]
"""Answers a request of a node."""


class Bus(Protocol):
    """The bus, as one node sees it. Nothing blocks the loop, and everything is bounded."""

    node: str
    """Name of this node: of one start of one process."""

    async def put(self, key: str, value: bytes, *, only_new: bool = False) -> bool:
        """Put an entry, or replace the node's own; False where ``only_new`` and another node has the key.

        Raises:
            BusError: The bus did not answer in time.
            ValueError: The value is larger than `MOST_BYTES`.
        """

    async def get(self, key: str) -> Entry | None:
        """Return an entry of a live node; raises BusError."""

    async def delete(self, key: str) -> None:
        """Delete an entry of this node; raises BusError."""

    async def scan(self, prefix: str) -> list[Entry]:
        """Return the entries of live nodes whose key begins with a text; raises BusError."""

    async def lease(self, key: str, ttl_s: float) -> Fenced | None:
        """Take or renew a lease; None where another node holds it. Raises BusError."""

    async def release(self, lease: Fenced) -> None:
        """Give a lease back; one that another node took meanwhile stays with that node."""

    async def tombstones(self, node: str) -> list[Entry]:
        """Return the entries of a lost node that were not cleared yet; raises BusError."""

    async def clear(self, node: str) -> None:
        """Delete the entries of a lost node."""

    def publish(self, topic: str, data: bytes) -> None:
        """Send a message to all other nodes that subscribe to a topic; it may be lost with the bus."""

    def subscribe(self, topic: str, on_message: OnMessage) -> None:
        """Receive the messages of a topic from now on."""

    async def request(self, node: str, data: bytes, timeout_s: float = 2.0) -> bytes:
        """Ask another node; raises BusError where it is not there or does not answer in time."""

    def serve(self, on_request: OnRequest) -> None:
        """Answer the requests of other nodes from now on."""

    def nodes(self) -> list[str]:
        """Return the live nodes, this one included, in order."""

    def on_lost(self, lost: Callable[[str], None]) -> None:
        """Have a function called with each node that is lost."""
