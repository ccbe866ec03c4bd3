"""What REST, metrics and the page are shown of trunks and users: plain values."""

from typing import Literal

import msgspec

TrunkState = Literal["registered", "registering", "failed", "unregistered", "ready", "unresolved"]
"""ready: needs no registration. failed: the registrar refused or is silent, another try follows.
unresolved: DNS knows no server of it."""


class TrunkView(msgspec.Struct, frozen=True, kw_only=True):
    """One trunk at this moment."""

    name: str
    engine: Literal["builtin", "pyvoip"] = "builtin"
    state: TrunkState
    code: int = 0
    """Of the registrar's last answer; 408 no answer, 503 no way there, 0 none was needed."""
    reason: str = ""
    """What the registrar, or DNS, said."""
    server: str = ""
    """Where it is registered, or calls go first: `udp:192.0.2.1:5060`."""
    expires_s: int = 0
    """Seconds that the registrar granted."""
    retry_s: float = 0.0
    """Seconds until the next try, of a failed one."""
    calls: int = 0
    """Calls at this moment, both ways."""
    max_calls: int = 0
    """0: no bound."""
    calls_refused: int = 0
    """Calls that its bounds refused."""


class ContactView(msgspec.Struct, frozen=True, kw_only=True):
    """One device of a user."""

    uri: str
    transport: str
    address: str
    expires_s: int
    user_agent: str = ""


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """One user at this moment."""

    name: str
    registered: bool
    contacts: tuple[ContactView, ...] = ()
