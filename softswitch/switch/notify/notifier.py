"""What a dialect implements to word the messages that applications get about calls.

The switch decides who is told what and when (`softswitch.switch.notify.webhooks`); a dialect only makes the
bodies. The composition root hands the dialects in.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

import msgspec

from softswitch.call.interfaces import IncomingCall
from softswitch.call.vocabulary.events import Event
from softswitch.switch.notify.decision import Decision


class CallFacts(msgspec.Struct, frozen=True):
    """What is known of a call at the moment of a message."""

    id: str
    created_ms: int
    """Epoch milliseconds."""
    direction: str = "inbound"
    """inbound: the party called the switch; outbound: the switch called the party."""
    caller: str = ""
    callee: str = ""
    tag: str = ""
    """Text that an application wrote on the call."""


class Gathered(msgspec.Struct, frozen=True):
    """Digits that were gathered from the party of a call."""

    digits: str
    reason: str
    """complete, terminator, timeout or interrupted."""
    attempts: int
    """Number of prompts that were played, from 1."""
    enough: bool = True
    """Whether there are as many digits as were wanted."""


class Message(msgspec.Struct, frozen=True):
    """A message about a call, which most calls send to no recipient."""

    make: Callable[[], bytes]
    """Makes the body; to be called before the next event of the call."""
    begins: bool = False
    """Whether it is the first one: for an incoming call, the one that announces it."""

    @property
    def body(self) -> bytes:
        """Return the body, JSON."""
        return self.make()


class CallNotifier(Protocol):
    """The messages about one call, in the words of a dialect. Methods are called in the order of events."""

    kinds: AbstractSet[type[Event]]
    """Kinds of events that may have messages; of others :meth:`event` need not be told."""

    def begin(self, facts: CallFacts) -> Sequence[Message]:
        """Return the message that the call is being set up; nothing where it was returned before."""

    def event(self, event: Event, seq: int, facts: Callable[[], CallFacts]) -> Sequence[Message]:
        """Return the messages about an event; most events have no message.

        Args:
            event: What happened.
            seq: Number of the event within the call, from 1.
            facts: Returns what is known of the call now.
        """

    def gathering(self, facts: CallFacts) -> Sequence[Message]:
        """Return the message that digits are being gathered; most dialects have none."""

    def gathered(self, gathered: Gathered, facts: CallFacts) -> Message:
        """Return the message about digits that were gathered in one or several attempts."""

    def record(self, facts: CallFacts) -> bytes:
        """Return the body that is posted after the call."""


class Notifier(Protocol):
    """A dialect's messages about calls."""

    in_steps: bool
    """Whether the first message about an incoming call announces it (`Message.begins`), so that the URLs of
    the settings get what the webhooks of accounts get; otherwise :meth:`announcement` does."""

    def announcement(self, call: IncomingCall, call_id: str, created_ms: int) -> bytes:
        """Return the body that announces an incoming call.

        Args:
            call: The incoming call.
            call_id: Id under which an application may take it.
            created_ms: When it came in, epoch milliseconds.
        """

    def decision(self, body: bytes) -> Decision | None:
        """Return what the answer to :meth:`announcement` decides about the call; None: nothing.

        Raises:
            PeerError: The decision is wrong; the text names the field.
        """

    def follow(self, facts: CallFacts) -> CallNotifier:
        """Return the messages about one call, which was just opened."""
