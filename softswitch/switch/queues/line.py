"""One queue as it stands: its callers in their order, and its figures."""

import asyncio
from dataclasses import dataclass, field

import msgspec

from softswitch.settings.queue import Queue
from softswitch.switch.conversation.conversation import Conversation


@dataclass(slots=True, eq=False)
class Waiting:
    """A caller who waits."""

    outer: Conversation
    """The caller's call."""
    leg: str
    """Its leg to the queue."""
    inner: Conversation
    """The call that plays to the caller."""
    joined: float
    """Monotonic seconds."""
    joined_ms: int
    """Epoch milliseconds: what callers of several nodes are ordered by."""
    rung: str = ""
    """User who is rung for this caller, or is about to be."""
    ordered: str = ""
    """User that was chosen over all nodes, until the ring begins."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when anything happened to one of the calls."""

    @property
    def gone(self) -> bool:
        """Whether the caller waits no longer."""
        return self.outer.over or self.inner.over


class QueueFigures(msgspec.Struct):
    """Figures of one queue since the start."""

    entered: int = 0
    answered: int = 0
    abandoned: int = 0
    """Callers who hung up while they waited."""
    timed_out: int = 0
    refused: int = 0
    """Callers refused because the queue was full, or not for their account."""
    missed: int = 0
    """Rings that no user answered."""
    waited_ms: int = 0
    """Waits of answered callers together."""
    longest_ms: int = 0
    """Longest wait of an answered caller."""


class Line:
    """The callers of one queue."""

    def __init__(self, queue: Queue) -> None:
        """Begin empty."""
        self.queue = queue
        self.waiting: list[Waiting] = []
        self.figures = QueueFigures()

    def position(self, caller: Waiting) -> int:
        """Return the place of a caller, from 1."""
        return self.waiting.index(caller) + 1

    def is_rung(self, user: str) -> bool:
        """Whether a user is being rung for a caller."""
        return any(caller.rung == user for caller in self.waiting)

    def answered(self, waited_s: float) -> None:
        """Note that a caller was answered after so many seconds."""
        waited_ms = round(waited_s * 1000)
        self.figures.answered += 1
        self.figures.waited_ms += waited_ms
        self.figures.longest_ms = max(self.figures.longest_ms, waited_ms)
