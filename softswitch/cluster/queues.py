"""Queues of all nodes: callers wait where they are, in one line; one node decides who is rung.

Nodes tell each other their callers, the users who have a call there, and what their rosters know, while a
caller waits at any of them. The node that holds the lease `QUEUES` decides; the caller's node rings. Where
that node dies, the lease moves, and no caller of another node notices. It is one lease for all queues: a user
may be in several, and is rung once. Where the bus is away, each node serves its own callers.
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass

import msgspec

from softswitch.bus.bus import MOST_BYTES, Bus, BusError, Fenced
from softswitch.log.tasks import Tasks
from softswitch.switch.queues.line import Waiting
from softswitch.switch.queues.queues import LOOK_S, Queues
from softswitch.switch.queues.whole import NodeLines, Order, orders, rows

logger = logging.getLogger(__name__)

QUEUES = "queues"
"""Key of the lease, and topic of what nodes tell."""
ASK = b"queues-state:"
"""Request for the state of a node."""
ORDER = b"queues-order:"
"""Request to ring a user for a caller."""
TTL_S = 3.0
"""Lifetime of the lease, seconds."""
RENEW_S = 0.5
"""Time between two renewals of the lease, seconds."""
AGAIN_S = 2.0
"""Time after which a node tells its state again while a caller waits: the bus may have lost it. Seconds."""
STALE_S = 10.0
"""Time after which a node that tells nothing counts no longer, seconds."""
SENT_S = 5.0
"""Longest time for which an order counts that its node does not answer, seconds."""
MOST_TOLD = 200
"""Callers of a queue that a node tells, where all would be too large for a message."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """An order on its way: its user is as good as rung."""

    user: str
    until: float
    """Monotonic seconds."""


class ClusterQueues:
    """The queues of this node among those of all (a `Dispatcher`)."""

    def __init__(self, queues: Queues, bus: Bus) -> None:
        """Take over the decisions of the queues of this node."""
        self._queues, self._bus = queues, bus
        self._states: dict[str, NodeLines] = {}
        """States of other nodes, as they told last."""
        self._heard_at: dict[str, float] = {}
        """Monotonic seconds."""
        self._told = NodeLines({}, [], {})
        self._told_at = 0.0
        self._number = 0
        self._sent: dict[tuple[str, str], _Sent] = {}
        """Orders by node and caller."""
        self._lease: Fenced | None = None
        self._held_until = self._asked_at = 0.0
        self._fence = 0
        """Highest fence of the orders so far: those of a former holder are refused."""
        self._is_alone = False
        """Whether the bus is away."""
        self._changed = asyncio.Event()
        self._running = False
        self._tasks = Tasks("cluster")
        queues.dispatcher = self
        bus.subscribe(QUEUES, self._heard)
        bus.on_lost(self._lost)

    async def stop(self) -> None:
        """Leave the decisions to another node."""
        self._tasks.cancel()
        await self._release()

    def again(self) -> None:
        """Tell everything again: the bus has lost it."""
        if self._is_watched():
            self._tell(anyway=True)

    # --- for the queues -----------------------------------------------------------------------

    def touched(self) -> None:
        """Tell the other nodes what has changed, if a caller waits at any node, and decide anew."""
        if self._is_watched() or self._told.callers:
            self._tell()
            self._wake()

    def ahead(self, queue: str, caller: Waiting | None) -> int:
        """Return how many callers of other nodes wait before a caller of this one; None: how many in all."""
        if self._is_alone:
            return 0
        found = 0
        for node, state in self._states.items():
            for row in rows(node, {queue: state.callers.get(queue, [])}):
                own = (caller.joined_ms, self._bus.node, caller.outer.id) if caller is not None else None
                found += own is None or row.order < own
        return found

    def is_taken(self, user: str) -> bool:
        """Return whether a user has a call at another node, or is rung by one."""
        if self._is_alone:
            return False
        now = time.monotonic()
        if any(sent.user == user and sent.until > now for sent in self._sent.values()):
            return True
        return any(
            user in state.busy
            or any(place.rung == user for places in state.callers.values() for place in places)
            for state in self._states.values()
        )

    # --- for other nodes ----------------------------------------------------------------------

    def answer(self, data: bytes) -> bytes | None:
        """Answer a request of another node; None: it is about something else."""
        if data.startswith(ASK):
            self._learn(msgspec.msgpack.decode(data.removeprefix(ASK), type=tuple[str, NodeLines]))
            return msgspec.msgpack.encode(self._tell(anyway=True))
        if data.startswith(ORDER):
            order = msgspec.msgpack.decode(data.removeprefix(ORDER), type=Order)
            if order.fence >= self._fence:
                self._fence = order.fence
                self._queues.order(order)
            # The state says whether it is carried out, and if not, why.
            return msgspec.msgpack.encode(self._tell(anyway=True))
        return None

    def _heard(self, data: bytes, node: str) -> None:
        was_watched = self._is_watched()
        self._learn((node, msgspec.msgpack.decode(data, type=NodeLines)))
        if self._is_watched() and not was_watched:
            self._tell(anyway=True)
        self._wake()

    def _learn(self, told: tuple[str, NodeLines]) -> None:
        node, state = told
        known = self._states.get(node)
        if known is not None and known.number >= state.number:
            return
        self._states[node], self._heard_at[node] = state, time.monotonic()
        self._queues.roster.learn(state.last)

    def _lost(self, node: str) -> None:
        self._forget(node)
        self._wake()

    def _forget(self, node: str) -> None:
        self._states.pop(node, None)
        for key in [key for key in self._sent if key[0] == node]:
            del self._sent[key]

    def _forget_stale(self) -> None:
        if not self._is_alone:
            before = time.monotonic() - STALE_S
            for node in [node for node in self._states if self._heard_at[node] < before]:
                self._forget(node)

    # --- telling ------------------------------------------------------------------------------

    def _is_watched(self) -> bool:
        """Return whether a caller waits at any node."""
        return self._queues.waits() or any(state.callers for state in self._states.values())

    def _tell(self, *, anyway: bool = False) -> NodeLines:
        """Publish the state of this node, if it has changed; return what was told last."""
        state = self._queues.state()
        if not anyway and msgspec.structs.replace(self._told, number=0) == state:
            return self._told
        self._number += 1
        state = msgspec.structs.replace(state, number=self._number)
        data = msgspec.msgpack.encode(state)
        if len(data) > MOST_BYTES - 256:
            short = {name: places[:MOST_TOLD] for name, places in state.callers.items()}
            state = msgspec.structs.replace(state, callers=short, last={})
            data = msgspec.msgpack.encode(state)
        self._told, self._told_at = state, time.monotonic()
        try:
            self._bus.publish(QUEUES, data)
        except ValueError:
            logger.error("the callers of this node's queues are too many for the bus")
        return state

    # --- deciding -----------------------------------------------------------------------------

    def _wake(self) -> None:
        self._changed.set()
        if not self._running and self._is_watched():
            self._running = True
            self._tasks.spawn(self._run(), name="queues")

    async def _run(self) -> None:
        """Decide while a caller waits."""
        try:
            while self._is_watched():
                self._changed.clear()
                await self._hold()
                self._decide()
                if time.monotonic() - self._told_at >= AGAIN_S:
                    self._tell(anyway=True)
                self._forget_stale()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._changed.wait()
        finally:
            self._running = False
        await self._release()
        if self._is_watched():
            self._wake()

    async def _hold(self) -> None:
        """Take or renew the lease; a new holder asks all nodes for their callers first."""
        now = time.monotonic()
        if now - self._asked_at < RENEW_S:
            return
        self._asked_at = now
        try:
            lease = await self._bus.lease(QUEUES, TTL_S)
        except BusError:
            if not self._is_alone:
                logger.warning("the bus is away: this node serves the callers of its own queues alone")
            self._is_alone, self._lease = True, None
            return
        self._is_alone = False
        if lease is not None and (self._lease is None or self._lease.fence != lease.fence):
            await self._ask_all()
        self._lease, self._held_until = lease, now + TTL_S

    async def _ask_all(self) -> None:
        """Learn the state of all nodes; one that does not answer has no callers until it tells some."""
        others = [node for node in self._bus.nodes() if node != self._bus.node]
        own = ASK + msgspec.msgpack.encode((self._bus.node, self._tell(anyway=True)))

        async def ask(node: str) -> None:
            try:
                data = await self._bus.request(node, own)
            except BusError:
                self._forget(node)
            else:
                self._learn((node, msgspec.msgpack.decode(data, type=NodeLines)))

        await asyncio.gather(*(ask(node) for node in others))

    def _decide(self) -> None:
        now = time.monotonic()
        if not self._is_alone and (self._lease is None or now >= self._held_until):
            return
        self._sent = {key: sent for key, sent in self._sent.items() if sent.until > now}
        waiting = list(rows(self._bus.node, self._queues.state().callers))
        if not self._is_alone:
            waiting += [
                row
                for node, state in self._states.items()
                for row in rows(node, state.callers)
                if (node, row.place.id) not in self._sent
            ]
        queues = self._queues
        for node, order in orders(waiting, queues.users(), queues.roster, queues.is_free, queues.now()):
            if node == self._bus.node:
                if queues.order(order):
                    self._tell()
                continue
            fenced = msgspec.structs.replace(order, fence=self._lease.fence if self._lease else 0)
            self._sent[node, order.caller] = _Sent(order.user, now + SENT_S)
            self._tasks.spawn(self._send(node, fenced), name="order to ring")

    async def _send(self, node: str, order: Order) -> None:
        try:
            answer = await self._bus.request(node, ORDER + msgspec.msgpack.encode(order))
        except BusError:
            # The order may have arrived: its user is not rung again until it must have shown.
            logger.warning("a node does not take an order of a queue", extra={"node": node})
            self._states.pop(node, None)
            return
        self._learn((node, msgspec.msgpack.decode(answer, type=NodeLines)))
        self._sent.pop((node, order.caller), None)
        self._wake()

    async def _release(self) -> None:
        lease, self._lease, self._asked_at = self._lease, None, 0.0
        if lease is not None:
            with contextlib.suppress(BusError):
                await self._bus.release(lease)
