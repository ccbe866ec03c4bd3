"""What all telephone legs have in common, and what the parts of one leg know of it."""

from dataclasses import dataclass
from typing import Protocol

from softswitch.call.needs import LegRequest
from softswitch.call.reports import Report
from softswitch.endpoints.sip.counters import SipCounters
from softswitch.endpoints.sip.driver import AgentDriver
from softswitch.endpoints.sip.media import SipMedia
from softswitch.endpoints.sip.media_shared import SipMediaShared
from softswitch.errors import NotNowError, PeerError
from softswitch.sip.happenings import Happening


@dataclass(frozen=True, slots=True)
class LegShared:
    """What all telephone legs have in common."""

    driver: AgentDriver
    media: SipMediaShared
    counters: SipCounters


class LegCore(Protocol):
    """A leg, as its parts see it."""

    shared: LegShared
    request: LegRequest
    session: str
    """Its session of the agent, once there is just one."""
    media: SipMedia | None
    answered: bool

    @property
    def over(self) -> bool:
        """Tell whether the leg has ended."""

    def now(self) -> float:
        """Return monotonic seconds."""

    def tell(self, report: Report) -> None:
        """Report, unless the leg has ended."""

    def warn(self, sender: str, error: str, code: int = 400) -> None:
        """Report what went wrong while the leg lives on."""

    def failed(self, sender: str, error: PeerError | NotNowError) -> None:
        """End the leg since something is wrong with what was asked for or sent."""

    def take(self, happening: Happening) -> None:
        """Take what happened to its session."""
