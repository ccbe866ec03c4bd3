"""The table behind a bus of one host or one process: entries, leases and tombstones (pure)."""

from collections.abc import Iterable

from softswitch.bus.bus import Entry, Fenced

MOST_ENTRIES = 200_000
"""Entries of all nodes together; a further one is refused and counted."""
MOST_TOMBSTONES = 64
"""Lost nodes whose entries are kept until a node has cleared them."""


class Table:
    """State of a bus. Times are monotonic seconds and are arguments."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: dict[str, Entry] = {}
        self._of_node: dict[str, dict[str, None]] = {}
        self._leases: dict[str, tuple[str, int, float]] = {}
        self._fence = 0
        self._lost: dict[str, list[Entry]] = {}
        self.refused = 0
        """Entries refused because the table was full."""

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, entry: Entry, *, only_new: bool = False) -> bool:
        """Add or replace an entry; False where another node has its key, or the table is full."""
        held = self._entries.get(entry.key)
        if held is not None and held.node != entry.node:
            if only_new:
                return False
            self._of_node[held.node].pop(entry.key, None)
        elif held is None and len(self._entries) >= MOST_ENTRIES:
            self.refused += 1
            return False
        self._entries[entry.key] = entry
        self._of_node.setdefault(entry.node, {})[entry.key] = None
        return True

    def get(self, key: str) -> Entry | None:
        """Return an entry."""
        return self._entries.get(key)

    def delete(self, key: str, node: str) -> None:
        """Delete an entry, if it is of this node."""
        held = self._entries.get(key)
        if held is not None and held.node == node:
            del self._entries[key]
            self._of_node[node].pop(key, None)

    def scan(self, prefix: str) -> list[Entry]:
        """Return the entries whose key begins with a text."""
        return [entry for key, entry in self._entries.items() if key.startswith(prefix)]

    def lease(self, key: str, node: str, ttl_s: float, now: float) -> Fenced | None:
        """Give or renew a lease; None where another node holds it."""
        holder, fence, until = self._leases.get(key, ("", 0, 0.0))
        if holder != node or until <= now:
            if holder not in ("", node) and until > now:
                return None
            self._fence += 1
            fence = self._fence
        self._leases[key] = node, fence, now + ttl_s
        return Fenced(key, fence)

    def release(self, lease: Fenced) -> None:
        """End a lease, unless another node has taken it since."""
        if self._leases.get(lease.key, ("", 0, 0.0))[1] == lease.fence:
            del self._leases[lease.key]

    def holds(self, lease: Fenced, now: float) -> bool:
        """Tell whether a lease is still valid."""
        _, fence, until = self._leases.get(lease.key, ("", 0, 0.0))
        return fence == lease.fence and until > now

    def lose(self, node: str) -> None:
        """Turn the entries of a node into tombstones, and end its leases."""
        entries = [self._entries.pop(key) for key in self._of_node.pop(node, {})]
        if entries:
            while len(self._lost) >= MOST_TOMBSTONES:
                del self._lost[next(iter(self._lost))]
            self._lost[node] = self._lost.get(node, []) + entries
        for key in [key for key, (holder, _, _) in self._leases.items() if holder == node]:
            del self._leases[key]

    def tombstones(self, node: str) -> list[Entry]:
        """Return the entries of a lost node."""
        return self._lost.get(node, [])

    def clear(self, node: str) -> None:
        """Delete the entries of a lost node."""
        self._lost.pop(node, None)

    def uncleared(self) -> Iterable[str]:
        """Return the lost nodes whose entries were not cleared yet."""
        return list(self._lost)
