"""What the call core asks of the floors around it, as Protocols; their outcome comes back as reports."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from softswitch.call.reports import Report


class Candidate(msgspec.Struct, frozen=True):
    """One ICE candidate of the far end (RFC 8839), ``candidate:...`` without ``a=``; empty text means end."""

    text: str
    mid: str | None = None
    line: int | None = None


class LegRequest(msgspec.Struct, frozen=True):
    """What an endpoint needs to know to set a leg up."""

    call: str
    """Id of the call."""
    leg: str
    """Name of the leg within its call."""
    port: int
    """The leg's port in the engine, chosen by the switch."""
    mix: int
    """The mix of the leg's call."""
    offer: str = ""
    codec: str = ""
    """Preferred codec name, any case; empty: as negotiated."""
    sample_rate: int = 16000
    caller: str = ""
    callee: str = ""
    headers: dict[str, str] = {}
    handshake_s: float | None = None
    """How long the far end may take to be reached; None: as long as usual."""


class Endpoint(Protocol):
    """The I/O object that carries a leg. Verbs return at once; what came of them is reported."""

    def ring(self, early_media: bool = False) -> None:
        """Alert the far end."""

    def answer(self) -> None:
        """Negotiate and open the port; :class:`LegAnswered` or :class:`LegFailed` follows."""

    def offer(self, sdp: str) -> None:
        """Take a later offer; :class:`LegUpdated` or :class:`LegWarned` follows."""

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Take trickled ICE candidates; a bad one is reported as :class:`LegWarned`."""

    def dtmf(self, digits: str) -> None:
        """Send digits to the far end."""

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the leg, its port and everything it holds; idempotent; reports nothing any more."""

    async def closed(self) -> None:
        """Return when everything the leg held is released."""


class EndpointFactory(Protocol):
    """Makes the endpoint of one kind of leg."""

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make an endpoint; ``report`` may be called from the event loop only."""
