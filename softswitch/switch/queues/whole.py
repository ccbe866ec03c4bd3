"""The lines of all queues on all nodes, and which user is rung next for which caller. Pure.

Each node tells the others what it has; the one that decides puts the callers of all nodes in one order.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from softswitch.switch.queues.roster import Roster


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A caller who waits, as other nodes know it."""

    id: str
    """Id of the caller's call."""
    joined_ms: int
    """Epoch milliseconds, by the clock of its node."""
    rung: str = ""
    """User who is rung for this caller."""


class NodeLines(msgspec.Struct, frozen=True, array_like=True):
    """What a node has."""

    callers: dict[str, list[Place]]
    """Its callers by queue, in their order."""
    busy: list[str]
    """Users of queues who have a call there, in alphabetical order."""
    last: dict[str, tuple[float, float]]
    """What a roster knows (`Roster.known`)."""
    number: int = 0
    """Grows with each of its states."""


class Order(msgspec.Struct, frozen=True, array_like=True):
    """What a node is told: a user is to be rung for one of its callers."""

    queue: str
    caller: str
    """Id of the caller's call."""
    user: str
    fence: int = 0
    """Fence of the lease of the node that decides; 0: the caller's own node does."""


class Row(msgspec.Struct, frozen=True):
    """A caller in the line of all nodes."""

    joined_ms: int
    node: str
    queue: str
    place: Place

    @property
    def order(self) -> tuple[int, str, str]:
        """Return what callers are ordered by; the clocks of machines may differ by some milliseconds."""
        return self.joined_ms, self.node, self.place.id


def rows(node: str, callers: Mapping[str, Sequence[Place]]) -> Iterable[Row]:
    """Yield the callers of a node."""
    for queue, places in callers.items():
        for place in places:
            yield Row(place.joined_ms, node, queue, place)


def orders(
    waiting: Iterable[Row],
    users: Mapping[str, Sequence[str]],
    roster: Roster,
    is_free: Callable[[str], bool],
    now: float,
) -> list[tuple[str, Order]]:
    """Return which users are to be rung now: node and order, those who have waited longest first.

    A caller is served before those who came later to the same queue, and a user who is in several queues goes
    to the caller who came first of all.

    Args:
        waiting: Callers of all queues.
        users: Users by queue.
        roster: Since when users are idle.
        is_free: Tells whether a user can be rung.
        now: Seconds, by the clock of the roster.
    """
    taken: set[str] = set()
    without: set[str] = set()
    found: list[tuple[str, Order]] = []
    for row in sorted(waiting, key=lambda one: one.order):
        if row.place.rung or row.queue in without:
            continue
        user = roster.pick(users.get(row.queue, ()), lambda one: one not in taken and is_free(one), now)
        if user is None:
            without.add(row.queue)
            continue
        taken.add(user)
        found.append((row.node, Order(row.queue, row.place.id, user)))
    return found
