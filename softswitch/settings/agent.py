"""Settings of agents: programs of the switch that talk with callers."""

import re

from softswitch.settings.section import Positive, Section

_NAME = re.compile(r"[A-Za-z0-9_.+*#-]{1,64}")


class Agent(Section, frozen=True):
    """An agent that answers calls to "agent:<name>" with a language model."""

    name: str
    """Name in routes and callees."""
    file: str
    """TOML file with its prompt, model, voice and tools (docs/guides/agents.md)."""
    max_calls: Positive = 20
    """Most simultaneous calls; more are refused with 486."""
    accounts: tuple[str, ...] = ()
    """Accounts that may call it, besides those of routes. Empty: all."""

    def __post_init__(self) -> None:
        """Check name and file."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r} must have 1 to 64 letters, digits or any of _.+*#-")
        if not self.file:
            raise ValueError("file must not be empty")
