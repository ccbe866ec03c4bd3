"""Interfaces between the mended classes, so that none has to import its owner."""

from collections.abc import Callable, Mapping
from typing import Protocol

from softswitch.legs.pyvoip.account import Account, Address, CallLink
from softswitch.legs.pyvoip.dialog import Dialog
from softswitch.legs.pyvoip.patches.wire import Exchanges
from softswitch.legs.sip.media.rtp_sockets import RtpPair
from softswitch.sip.syntax.message import Request, Response


class CallRole(Protocol):
    """A call, as requests and responses use it."""

    tag: str
    invite: Request | None
    dialog: Dialog | None
    line: CallLink

    def cancelled(self) -> None:
        """Handle a CANCEL."""

    def offered(self, request: Request, source: Address) -> None:
        """Answer a later offer."""

    def ended(self, request: Request) -> None:
        """Handle a BYE of the peer."""

    def fork(self, response: Response, source: Address) -> None:
        """Handle a further 200 of another branch."""

    def hang_up(self, headers: dict[str, str]) -> None:
        """End the call."""

    def over(self) -> None:
        """Stop its audio and drop it."""


class PhoneRole(Protocol):
    """A telephone, as its client uses it."""

    @property
    def by_id(self) -> Mapping[str, CallRole]:
        """Return its calls by Call-ID."""

    def invited(self, request: Request, source: Address) -> None:
        """Accept an INVITE as a new call, or refuse it."""


class AudioRole(Protocol):
    """A telephone, as its calls use it."""

    def take_pair(self, port: int) -> RtpPair:
        """Return the sockets of a port that was requested."""

    def give_back(self, pair: RtpPair) -> None:
        """Close sockets; callable in any thread."""

    def count(self, counters: dict[str, int]) -> None:
        """Add the counters of a stream; callable in any thread."""

    def remove(self, call_id: str) -> None:
        """Remove a call that has ended."""


class ClientRole(Protocol):
    """A client, as requests use it."""

    account: Account
    exchanges: Exchanges
    telephone: PhoneRole

    def reply(self, response: Response, request: Request, source: Address) -> None:
        """Send a response, and again whenever the request is repeated."""

    def send_reply(self, response: Response, request: Request, source: Address) -> None:
        """Send a response once."""

    def reply_surely(
        self, response: Response, request: Request, source: Address, given_up: Callable[[], None]
    ) -> None:
        """Send a final response to an INVITE until its ACK comes."""
