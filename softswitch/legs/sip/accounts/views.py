"""State of trunks and users as plain values, for REST, metrics and the page."""

from typing import Literal

import msgspec

TrunkState = Literal["registered", "registering", "failed", "unregistered", "ready", "unresolved"]
"""ready: needs no registration. failed: the registrar refused or did not respond, another attempt follows.
unresolved: no server has an address in DNS."""


class TrunkView(msgspec.Struct, frozen=True, kw_only=True):
    """State of one trunk."""

    name: str
    engine: Literal["builtin", "pyvoip"] = "builtin"
    state: TrunkState
    code: int = 0
    """Status code of the registrar's last response; 408 without a response, 503 where it is unreachable, 0
    before the first one or without registration."""
    reason: str = ""
    """Reason phrase of the registrar, or the error of DNS."""
    server: str = ""
    """Server that it is registered at, or that calls go to first: `udp:192.0.2.1:5060`."""
    expires_s: int = 0
    """Lifetime of the registration, in seconds."""
    retry_s: float = 0.0
    """Seconds until the next attempt of a failed registration."""
    calls: int = 0
    """Present calls, incoming and outgoing."""
    max_calls: int = 0
    """Limit of the settings; 0: unlimited."""
    calls_refused: int = 0
    """Calls that the limits of the trunk refused."""


class ContactView(msgspec.Struct, frozen=True, kw_only=True):
    """One registered device of a user."""

    uri: str
    transport: str
    address: str
    expires_s: int
    user_agent: str = ""
    behind_nat: bool = False
    """Whether it is behind a NAT, so that it gets keep-alives and calls follow the flow of its REGISTER."""
    answers: bool = True
    """False: it left its last keep-alives without a response."""


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """State of one user."""

    name: str
    registered: bool
    contacts: tuple[ContactView, ...] = ()
