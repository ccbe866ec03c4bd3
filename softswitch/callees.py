"""The callees that the switch itself knows, in one table: everything else is a number or a SIP URI.

Rules of the settings, the call model, the legs and the dialects all ask this table. A new callee is one line
here and the endpoint that carries it.
"""

from dataclasses import dataclass
from typing import Final, Literal

Reach = Literal["leg", "stream", "telephone", "call"]
"""leg: an endpoint of the switch; stream: a WebSocket service; telephone: a device registered by SIP; call: a
live call that the first party supervises."""


@dataclass(frozen=True, slots=True)
class Callee:
    """One way to name a callee: ``name``, or ``name:argument``."""

    name: str
    reach: Reach
    argument: str = ""
    """Regular expression of what follows the colon; empty: nothing does."""
    shown: str = ""
    """The argument in a list of what is possible."""

    @property
    def pattern(self) -> str:
        """Regular expression of the whole callee."""
        return f"{self.name}:{self.argument}" if self.argument else self.name

    def __str__(self) -> str:
        """Return the callee as a list of what is possible shows it."""
        return f"{self.name}:{self.shown}" if self.argument else self.name


CALLEES: Final = (
    Callee("echo", "leg"),
    Callee("tone", "leg"),
    Callee("user", "telephone", ".+", "<name>"),
    Callee("room", "leg", ".+", "<id>"),
    Callee("agent", "leg", ".+", "<name>"),
    Callee("queue", "leg", ".+", "<name>"),
    Callee("stream", "stream", "wss?://.+", "<ws url>"),
    Callee("voicemail", "leg", ".+", "<user>"),
    Callee("supervise", "call", ".+", "<call or user>"),
)
_BY_NAME: Final = {callee.name: callee for callee in CALLEES}


def known(text: str) -> Callee | None:
    """Return the entry that a callee begins with; None: it is a number or a URI.

    Args:
        text: What was dialled, the argument included, which is not checked.
    """
    return _BY_NAME.get(text.partition(":")[0])


def reached_by_leg(text: str) -> bool:
    """Whether a callee names an endpoint of the switch itself."""
    callee = known(text)
    if callee is None or callee.reach != "leg":
        return False
    return text.startswith(f"{callee.name}:") if callee.argument else text == callee.name
