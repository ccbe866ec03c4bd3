"""Interfaces of the telephones and calls of pyVoIP, for code that must not import pyVoIP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from softswitch.legs.pyvoip.account import Account, Address, CallLink, Dial
from softswitch.legs.pyvoip.dialog import Dialog
from softswitch.legs.pyvoip.registration import Standing
from softswitch.legs.sip.media.rtp_sockets import RtpPair
from softswitch.sip.syntax.message import Request


class CallControl(Protocol):
    """One call. Its commands are for the thread of its telephone (:meth:`PhoneControl.post`)."""

    line: CallLink
    dialog: Dialog | None

    @property
    def takes_events(self) -> bool:
        """Tell whether the peer supports digits as events (RFC 4733). Callable in any thread."""

    @property
    def heard_at(self) -> float:
        """Return when the last audio packet came, in monotonic seconds; 0: never. Callable in any thread."""

    def ring(self, early_media: bool) -> None:
        """Send 180, or 183 with a description."""

    def answer(self) -> None:
        """Answer with 200."""

    def deny(self, code: int, reason: str) -> None:
        """Refuse the call."""

    def hang_up(self, headers: dict[str, str]) -> None:
        """End the call as its state wants: BYE, CANCEL or a refusal."""

    def press(self, digits: str) -> bool:
        """Send digits as events; False where the peer supports none. Callable in any thread."""

    def write_audio(self, data: bytes) -> None:
        """Send 8-bit audio. Callable in any thread."""


class PhoneControl(Protocol):
    """One telephone."""

    account: Account

    @property
    def own_port(self) -> int:
        """Return its UDP port, after `start`."""

    @property
    def standing(self) -> Standing:
        """Return the state of its registration."""

    @property
    def target(self) -> Address:
        """Return the server of its registration and calls."""

    def start(self) -> None:
        """Bind the socket and start the thread; raises OSError."""

    def post(self, task: Callable[[], None]) -> None:
        """Run a function in its thread; raises NotNowError where too many wait."""

    def dial(self, dial: Dial, line: CallLink, on_call: Callable[[CallControl], None]) -> None:
        """Place a call that was counted; called in its thread."""

    def numbers(self) -> Mapping[str, int]:
        """Return its counters."""

    def readdress(self, own_host: str, media_host: str) -> None:
        """Use other local addresses from now on, and register with them; running calls keep the old ones."""

    def sign_off(self) -> None:
        """Unregister; calls go on."""

    def stop(self) -> None:
        """Start to hang up and unregister."""

    def join(self) -> None:
        """Wait until that is done."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Response to a call that is not accepted."""

    code: int
    text: str
    """Reason for the log."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Callbacks of a telephone, called in its thread."""

    admit: Callable[[Address], str | None]
    """Returns the trunk that an address belongs to, "" for a trusted network, None for a stranger."""
    begin: Callable[[str], Refusal | None]
    """Counts one more call of a trunk; returns a refusal where a limit is reached."""
    over: Callable[[str], None]
    """Ends the count of a call."""
    incoming: Callable[[CallControl, Request, Address], None]
    """Announces a call that was counted, and connects its link."""
    open_pair: Callable[[], RtpPair]
    """Opens sockets for audio; raises NotNowError."""
    close_pair: Callable[[RtpPair], None]
    """Closes them; callable in any thread."""
