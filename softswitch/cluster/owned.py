"""What this node owns, as entries on the bus: its calls and its rooms; and who owns any other."""

import asyncio
import contextlib
import logging
from collections import Counter

import msgspec

from softswitch.bus.bus import Bus, BusError
from softswitch.call.kind import LegKind
from softswitch.call.vocabulary.events import Event
from softswitch.log.tasks import Tasks
from softswitch.switch.conversation.conversation import Conversation

logger = logging.getLogger(__name__)

TOLD_S = 0.5
"""Longest wait of a new call until other nodes can find it, in seconds."""
AGAIN_S = 1.0
"""Time after which entries that the bus did not take are put again, in seconds."""


class CallEntry(msgspec.Struct, frozen=True, array_like=True):
    """A call, as other nodes know it."""

    kind: str
    account: str = ""
    address: str = ""
    trunk: str = ""


class Owned:
    """The entries of this node. What the bus does not take now is put again until it is there."""

    def __init__(self, bus: Bus) -> None:
        """Start without entries."""
        self._bus = bus
        self._wanted: dict[str, bytes] = {}
        self._changed: dict[str, None] = {}
        self._asked: dict[str, None] = {}
        """Keys of the round that the bus has not answered yet."""
        self._rounds = asyncio.Event()
        """Set at the end of a round; each round has another."""
        self._is_away = False
        self._work = asyncio.Event()
        self._tasks = Tasks("cluster")
        self.failed = 0
        """Rounds in which the bus did not take an entry."""

    def start(self) -> None:
        """Begin to put entries."""
        self._tasks.spawn(self._run(), name="entries of this node")

    def stop(self) -> None:
        """Stop; the bus deletes the entries with this node."""
        self._tasks.cancel()

    def put(self, key: str, value: bytes = b"") -> None:
        """Put an entry soon, and keep it on the bus."""
        self._wanted[key] = value
        self._changed[key] = None
        self._work.set()

    def delete(self, key: str) -> None:
        """Delete an entry soon."""
        if self._wanted.pop(key, None) is not None:
            self._changed[key] = None
            self._work.set()

    async def told(self, key: str) -> None:
        """Wait until the bus was asked to take an entry, for at most `TOLD_S`; not where it is away."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOLD_S):
                while not self._is_away and (key in self._changed or key in self._asked):
                    await self._rounds.wait()

    def again(self) -> None:
        """Put all entries again: the bus has lost them."""
        self._changed |= dict.fromkeys(self._wanted)
        self._work.set()

    async def claim(self, key: str, value: bytes = b"") -> bool:
        """Put an entry now, unless another node has its key; where the bus is away, this node has the key.

        New calls are taken while the bus is away; the directory is put right when it is back.
        """
        try:
            if not await self._bus.put(key, value, only_new=True):
                return False
        except BusError:
            self._changed[key] = None
            self._work.set()
        self._wanted[key] = value
        return True

    async def owner(self, key: str) -> str:
        """Return the other node that owns a key; empty: this one, none, or the bus is away."""
        if key in self._wanted:
            return ""
        try:
            entry = await self._bus.get(key)
        except BusError:
            return ""
        return entry.node if entry is not None and entry.node != self._bus.node else ""

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            changed, self._changed = self._changed, {}
            self._asked = changed
            outcomes = await asyncio.gather(*(self._settle(key) for key in changed), return_exceptions=True)
            left = [key for key, outcome in zip(changed, outcomes, strict=True) if outcome is not None]
            for outcome in outcomes:
                if outcome is not None and not isinstance(outcome, BusError):
                    logger.error("an entry could not be put on the bus", exc_info=outcome)
            self._asked, self._is_away = {}, bool(left)
            self._rounds.set()
            self._rounds = asyncio.Event()
            if left:
                self.failed += 1
                self._changed = dict.fromkeys(left) | self._changed
                self._work.set()
                await asyncio.sleep(AGAIN_S)

    async def _settle(self, key: str) -> None:
        value = self._wanted.get(key)
        if value is None:
            await self._bus.delete(key)
        else:
            await self._bus.put(key, value)


class OwnedCalls:
    """Puts each call of this switch on the bus while it is live (followed like ``Switch.followers``)."""

    def __init__(self, owned: Owned) -> None:
        """Put calls by way of `owned`."""
        self._owned = owned

    def follow(self, conversation: Conversation) -> None:
        """Put a call that was just opened, unless it is a part of another one."""
        if conversation.call.kind is LegKind.LOCAL:
            return
        _Watch(self._owned, conversation)


class _Watch:
    """Follows one call until its end (a subscriber)."""

    def __init__(self, owned: Owned, conversation: Conversation) -> None:
        self._owned, self._key = owned, f"call:{conversation.id}"
        entry = CallEntry(
            conversation.call.kind, conversation.owner, conversation.address, conversation.source.trunk
        )
        owned.put(self._key, msgspec.msgpack.encode(entry))
        conversation.subscribe(self)

    def event(self, event: Event, seq: int) -> None:
        """Ignore events."""

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Delete the entry with the call."""
        self._owned.delete(self._key)


class Shares:
    """How many calls each account, address and trunk has on the other nodes, as they told last."""

    def __init__(self, bus: Bus) -> None:
        """Listen to the other nodes."""
        self._of: dict[str, dict[str, int]] = {}
        self._sum: Counter[str] = Counter()
        self._own: Counter[str] = Counter()
        self._bus = bus
        bus.subscribe("shares", self._heard)
        bus.on_lost(self._lost)

    def elsewhere(self, key: str) -> int:
        """Return how many calls a key such as ``owner:<account>`` has on the other nodes."""
        return self._sum[key]

    def tell(self, own: Counter[str]) -> None:
        """Tell the other nodes the counts of this one, where they have changed."""
        if own == self._own:
            return
        changed = {key: own[key] for key in own.keys() | self._own.keys() if own[key] != self._own[key]}
        self._own = own.copy()
        names = list(changed)
        for at in range(0, len(names), 500):
            piece = {name: changed[name] for name in names[at : at + 500]}
            self._bus.publish("shares", msgspec.msgpack.encode(piece))

    def tell_all(self) -> None:
        """Tell everything again, to a node that is new."""
        own, self._own = self._own, Counter()
        self.tell(own)

    def _heard(self, data: bytes, node: str) -> None:
        known = self._of.setdefault(node, {})
        for key, count in msgspec.msgpack.decode(data, type=dict[str, int]).items():
            self._sum[key] += count - known.get(key, 0)
            known[key] = count
            if not count:
                del known[key]
            if not self._sum[key]:
                del self._sum[key]

    def _lost(self, node: str) -> None:
        for key, count in self._of.pop(node, {}).items():
            self._sum[key] -= count
            if not self._sum[key]:
                del self._sum[key]
