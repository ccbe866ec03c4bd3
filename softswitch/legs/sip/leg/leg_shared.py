"""State that all SIP legs share, and the interface of a leg towards its parts (digits, transfers, offers)."""

from dataclasses import dataclass
from typing import Protocol

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import Report
from softswitch.errors import NotNowError, PeerError
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.driver import AgentDriver
from softswitch.legs.sip.media.negotiation import SipMedia
from softswitch.legs.sip.media.shared import SipMediaShared
from softswitch.sip.events import CallEvent


@dataclass(frozen=True, slots=True)
class LegShared:
    """Driver, media resources and counters of all SIP legs."""

    driver: AgentDriver
    media: SipMediaShared
    counters: SipCounters


class LegCore(Protocol):
    """A SIP leg as its parts see it."""

    shared: LegShared
    session: str
    """Id of its session in the user agent; empty while none or several exist."""
    media: SipMedia | None
    answered: bool

    @property
    def request(self) -> LegRequest:
        """Return the request that the leg was made for."""

    @property
    def is_over(self) -> bool:
        """Tell whether the leg has ended."""

    def now(self) -> float:
        """Return monotonic seconds."""

    def report(self, report: Report) -> None:
        """Report to the call, unless the leg has ended."""

    def warn(self, sender: str, error: str, code: int = 400) -> None:
        """Report a fault that does not end the leg."""

    def failed(self, sender: str, error: PeerError | NotNowError) -> None:
        """End the leg because a request or a message of the peer cannot be carried out."""

    def on_event(self, event: CallEvent) -> None:
        """Handle an event of the leg's session."""
