"""Events of a call kept for a client that comes back, bounded in number and bytes."""

import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from softswitch.call.vocabulary.events import Event
from softswitch.settings import Limits
from softswitch.switch.memory import Memory, MemoryFullError


class KeptEvents:
    """The latest events of a call with their numbers; the oldest are dropped when a bound is reached."""

    def __init__(self, limits: Limits, memory: Memory, call_id: str) -> None:
        self._most = limits.events_kept
        self._most_bytes = limits.events_kept_bytes
        self._hold = memory.hold("", call_id)
        self._call_id = call_id
        self._events: deque[tuple[int, Event, int]] = deque()

    @property
    def size(self) -> int:
        """Bytes."""
        return self._hold.size

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self._events)

    def add(self, seq: int, event: Event, account: str) -> None:
        """Keep an event, if it fits at all; drop older ones for it.

        Args:
            seq: number of the event in the call.
            event: the event.
            account: account of the call at present.
        """
        if account != self._hold.account:
            # An application took the call.
            self._hold.move(account, self._call_id)
        size = size_of(event)
        while self._events and (len(self._events) >= self._most or self.size + size > self._most_bytes):
            self._drop()
        if size > self._most_bytes:
            return
        while not self._grow(size):
            if not self._events:
                return
            self._drop()
        self._events.append((seq, event, size))

    def _grow(self, size: int) -> bool:
        try:
            self._hold.grow(size)
        except MemoryFullError:
            return False
        return True

    def since(self, seq: int) -> Iterator[tuple[int, Event]]:
        """Yield the events after a number, the oldest first."""
        for number, event, _ in list(self._events):
            if number > seq:
                yield number, event

    def clear(self) -> None:
        """Drop all events."""
        while self._events:
            self._drop()

    def _drop(self) -> None:
        _, _, size = self._events.popleft()
        self._hold.shrink(size)


def size_of(value: object, depth: int = 8) -> int:
    """Return about how many bytes of memory a value takes, with what it refers to.

    Args:
        value: an event or a part of one.
        depth: levels of nesting that are counted.
    """
    size = sys.getsizeof(value)
    if depth == 0 or value is None or isinstance(value, (str, bytes, int, float)):
        return size
    parts: Sequence[object] = ()
    if isinstance(value, msgspec.Struct):
        parts = [getattr(value, name) for name in value.__struct_fields__]
    elif isinstance(value, Mapping):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts = list(value)
    return size + sum(size_of(part, depth - 1) for part in parts)
