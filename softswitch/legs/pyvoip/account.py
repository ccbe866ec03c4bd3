"""Accounts, calls to place and events, which telephones of pyVoIP and their legs exchange."""

from collections.abc import Callable
from dataclasses import dataclass, field

Address = tuple[str, int]

MAX_CALLS = 30
"""Calls of all telephones together: each needs two threads that wake every 20 ms."""


@dataclass(frozen=True, slots=True)
class Account:
    """Identity and servers of a telephone."""

    name: str
    """Name of the trunk; empty for the local phone."""
    servers: tuple[Address, ...]
    """Addresses for requests, in the order to try them; empty for the local phone, which dials addresses."""
    host: str
    """Host of the server in URIs, with its port where that is not 5060."""
    domain: str
    """Domain of the switch's address of record."""
    bind: Address
    own_host: str
    """Local address for Via, Contact and SDP."""
    media_host: str
    username: str = "softswitch"
    password: str = field(default="", repr=False)
    auth_user: str = ""
    realm: str = ""
    register: bool = False
    expires: int = 600
    codecs: tuple[str, ...] = ("PCMU", "PCMA")


@dataclass(frozen=True, slots=True)
class Dial:
    """Parameters of a call to place."""

    uri: str
    """Request-URI."""
    from_: str
    """From, without a tag."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further headers of the INVITE."""
    to: Address | None = None
    """Address to send the INVITE to; None: the account's server."""
    username: str = ""
    """Credentials in place of the account's."""
    password: str = field(default="", repr=False)
    realm: str = ""
    contact: str = ""
    """Contact in place of the account's."""
    ring_s: float = 180.0


@dataclass(frozen=True, slots=True)
class Ringing:
    """The remote party is alerted, with or without early audio."""

    early_media: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """The call is answered."""

    codec: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The call was refused."""

    code: int
    reason: str
    from_peer: bool = False
    """`reason` is the phrase of the peer's response; else it is an error text for the client."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The call could not be placed."""

    code: int
    error: str


@dataclass(frozen=True, slots=True)
class Held:
    """The peer put the call on hold, or resumed it."""

    held: bool


@dataclass(frozen=True, slots=True)
class Pressed:
    """The peer sent a DTMF digit."""

    digit: str
    duration_ms: int
    method: str


@dataclass(frozen=True, slots=True)
class Released:
    """The sockets of the call are closed; no event follows."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The peer ended the call, or was lost."""

    reason: str
    headers: dict[str, str] = field(default_factory=dict)


Event = Ringing | Answered | Rejected | Failed | Held | Pressed | Ended | Released


@dataclass(slots=True, eq=False)
class CallLink:
    """The connection between a leg, on the event loop, and its call, in a thread of pyVoIP."""

    trunk: str
    """Name of the trunk that the call is counted on; "" for none."""
    on_event: Callable[[Event], None] = lambda event: None
    """Called in the threads of pyVoIP: hands an event to the loop."""
    on_audio: Callable[[bytes], None] = lambda data: None
    """Called in the thread that receives RTP, with 8-bit audio."""
