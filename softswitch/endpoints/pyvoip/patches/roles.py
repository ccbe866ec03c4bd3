"""What the mended classes know of one another, so that none has to import those that hold it."""

from collections.abc import Callable, Mapping
from typing import Protocol

from softswitch.endpoints.pyvoip.account import Account, Address, Line
from softswitch.endpoints.pyvoip.dialog import Dialog
from softswitch.endpoints.pyvoip.patches.wire import Exchanges
from softswitch.endpoints.sip.rtp_sockets import RtpPair
from softswitch.sip.message import Request, Response


class CallRole(Protocol):
    """A call, as requests and responses find it."""

    tag: str
    invite: Request | None
    dialog: Dialog | None
    line: Line

    def cancelled(self) -> None:
        """The caller gave up."""

    def offered(self, request: Request, source: Address) -> None:
        """Answer a later offer."""

    def ended(self, request: Request) -> None:
        """The far end hung up."""

    def fork(self, response: Response, source: Address) -> None:
        """Take a second 200 of another callee."""

    def leave(self, headers: dict[str, str]) -> None:
        """End the call from our side."""

    def over(self) -> None:
        """Stop its audio and forget it."""


class PhoneRole(Protocol):
    """A telephone, as its client sees it."""

    @property
    def by_id(self) -> Mapping[str, CallRole]:
        """Return its calls by Call-ID."""

    def invited(self, request: Request, source: Address) -> None:
        """Take an INVITE, or refuse it."""


class DeskRole(Protocol):
    """A telephone, as its calls see it."""

    def take_pair(self, port: int) -> RtpPair:
        """Return the sockets of a port that was requested."""

    def give_back(self, pair: RtpPair) -> None:
        """Close sockets; from any thread."""

    def count(self, counters: dict[str, int]) -> None:
        """Add what a stream has counted; from any thread."""

    def forget(self, call_id: str) -> None:
        """Let a call go that is over."""


class ClientRole(Protocol):
    """A client, as requests see it."""

    account: Account
    exchanges: Exchanges
    desk: PhoneRole

    def reply(self, response: Response, request: Request, source: Address) -> None:
        """Send a response, and again whenever the request comes again."""

    def send_reply(self, response: Response, request: Request, source: Address) -> None:
        """Send a response that is not kept."""

    def reply_surely(
        self, response: Response, request: Request, source: Address, given_up: Callable[[], None]
    ) -> None:
        """Send a final response to an INVITE until its ACK comes."""
