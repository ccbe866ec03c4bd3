"""What the rest of the house sees of a telephone of pyVoIP, and what it asks, without pyVoIP itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from softswitch.endpoints.pyvoip.account import Account, Address, Dial, Line
from softswitch.endpoints.pyvoip.dialog import Dialog
from softswitch.endpoints.pyvoip.registration import Standing
from softswitch.endpoints.sip.rtp_sockets import RtpPair
from softswitch.sip.message import Request


class CallControl(Protocol):
    """One call. Its verbs are for the thread of its telephone (:meth:`PhoneControl.post`)."""

    line: Line
    dialog: Dialog | None

    @property
    def takes_events(self) -> bool:
        """Tell whether the far end knows keys as events (RFC 4733). From any thread."""

    @property
    def heard_at(self) -> float:
        """Return when the last packet of audio came, in monotonic seconds; 0 for never. From any thread."""

    def ring(self, early_media: bool) -> None:
        """Tell the caller that somebody is alerted."""

    def answer(self) -> None:
        """Answer with 200."""

    def deny(self, code: int, reason: str) -> None:
        """Refuse."""

    def leave(self, headers: dict[str, str]) -> None:
        """End the call from our side, whatever its state."""

    def press(self, digits: str) -> bool:
        """Send digits as events; False where the far end knows none. From any thread."""

    def write_audio(self, data: bytes) -> None:
        """Say 8-bit audio. From any thread."""


class PhoneControl(Protocol):
    """One telephone."""

    account: Account

    @property
    def own_port(self) -> int:
        """Return its UDP port, once it has begun."""

    @property
    def standing(self) -> Standing:
        """Return how its registration stands."""

    @property
    def target(self) -> Address:
        """Return the server that it registers at, or sends calls to."""

    def start(self) -> None:
        """Bind and begin; raises OSError."""

    def post(self, task: Callable[[], None]) -> None:
        """Let its thread do something; raises NotNowError where too much waits."""

    def dial(self, dial: Dial, line: Line, joined: Callable[[CallControl], None]) -> None:
        """Place a call that has room; for its thread."""

    def numbers(self) -> Mapping[str, int]:
        """Return what it has counted."""

    def sign_off(self) -> None:
        """Un-register; calls go on."""

    def stop(self) -> None:
        """Begin to hang up and un-register."""

    def join(self) -> None:
        """Wait until that is done."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is not taken."""

    code: int
    reason: str
    text: str
    """The full reason, in a Warning header."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a telephone asks and tells, in its own thread."""

    admit: Callable[[Address], str | None]
    """Whose messages come from an address: name of the trunk, "" for nobody's, None to be silent."""
    begin: Callable[[str], Refusal | None]
    """Asks for room for one more call of this trunk."""
    over: Callable[[str], None]
    """Gives that room back."""
    incoming: Callable[[CallControl, Request, Address], None]
    """Tells of a call that has room, and gives its line an end."""
    open_pair: Callable[[], RtpPair]
    """Takes sockets for audio; raises NotNowError."""
    close_pair: Callable[[RtpPair], None]
    """Gives them back, from any thread."""
