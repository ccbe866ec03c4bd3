"""What a telephone of pyVoIP is told before it begins: plain values, the names already resolved."""

from collections.abc import Callable
from dataclasses import dataclass, field

Address = tuple[str, int]

MAX_CALLS = 30
"""Calls of all telephones together: each takes two threads that wake every 20 ms."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who a telephone is, and at which servers."""

    name: str
    """Of the trunk; empty for the local phone."""
    servers: tuple[Address, ...]
    """Where requests go, the first to try first; empty for the local phone, which dials addresses."""
    host: str
    """The server's name in URIs, with its port where that is not 5060."""
    domain: str
    """Of our own address."""
    bind: Address
    own_host: str
    """Address in Via, Contact and SDP: where the far end reaches us."""
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
    """A call that is to be placed."""

    uri: str
    """Whom to call."""
    from_: str
    """Who calls, as From has it, without a tag."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further headers of the INVITE."""
    to: Address | None = None
    """Where to send it; None: to the account's server."""
    username: str = ""
    """Other credentials than the account's."""
    password: str = field(default="", repr=False)
    realm: str = ""
    contact: str = ""
    """Another Contact than the account's."""
    ring_s: float = 180.0


@dataclass(frozen=True, slots=True)
class Ringing:
    """The far end is alerted; with audio already, or without."""

    early_media: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """Both may speak."""

    codec: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The call did not come about."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The call could not be placed, by our own fault or that of the request."""

    code: int
    error: str


@dataclass(frozen=True, slots=True)
class Held:
    """The far end put us on hold, or took us back."""

    held: bool


@dataclass(frozen=True, slots=True)
class Pressed:
    """The far end pressed a key."""

    digit: str
    duration_ms: int
    method: str


@dataclass(frozen=True, slots=True)
class Released:
    """The sockets of the call are closed; nothing comes after it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The far end hung up, gave up, or was lost."""

    reason: str
    headers: dict[str, str] = field(default_factory=dict)


Event = Ringing | Answered | Rejected | Failed | Held | Pressed | Ended | Released


@dataclass(slots=True, eq=False)
class Line:
    """What joins a leg, on the event loop, and its call, in the thread of pyVoIP."""

    whose: str
    """Name of the trunk whose room the call takes; "" for none."""
    tell: Callable[[Event], None] = lambda event: None
    """Called in the threads of pyVoIP: hands an event to the loop."""
    audio: Callable[[bytes], None] = lambda data: None
    """Called in the thread that receives RTP: takes 8-bit audio."""
