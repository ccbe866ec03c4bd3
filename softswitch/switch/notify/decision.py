"""What an application decides about an incoming call in its answer to the announcement."""

from typing import Literal

import msgspec

from softswitch.call.vocabulary.commands import CallOption, Strategy, StreamOption
from softswitch.settings import Route

MOST_TARGETS = 16
"""Most targets of one decision."""


class Forward(msgspec.Struct, frozen=True):
    """Connect the caller with the first target that answers."""

    targets: tuple[Route, ...]
    """Targets in order, each as a route whose match is not looked at."""
    strategy: Strategy = "sequential"
    record: bool = False
    timeout_s: float = 60.0
    """Longest ringing of one target, with `parallel` of all together, seconds."""


class TurnAway(msgspec.Struct, frozen=True):
    """Refuse the caller."""

    code: int = 486
    reason: str = ""


class Answer(msgspec.Struct, frozen=True):
    """Answer the caller; a service or an application speaks with it."""

    option: CallOption = CallOption()
    stream: StreamOption | None = None
    """Stream to a service that speaks, and whose end ends the call."""
    agent: str = ""
    """Agent of the settings that speaks, and whose end ends the call; empty: none."""


Decision = Forward | TurnAway | Answer
Action = Literal["forward", "reject", "answer"]
