"""A trunk's registration, as its client keeps it alive (RFC 3261 section 10.2)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from softswitch.sip.agent import UserAgent
from softswitch.sip.digest import Credentials
from softswitch.sip.flow import Flow
from softswitch.sip.happenings import RequestAnswered

RegistrationState = Literal["idle", "registering", "registered", "waiting", "unregistering", "unregistered"]
"""waiting: the last try failed, the next one is at `deadline`."""


@dataclass(frozen=True, slots=True)
class RegistrationWish:
    """What is registered, and where."""

    registrar: str
    """Request-URI: ``sip:example.org``."""
    aor: str
    """Address of record, the URI in To and From."""
    targets: tuple[Flow, ...]
    """The servers in order of preference, resolved."""
    credentials: Credentials | None = None
    contact_user: str = ""
    expires: int = 600
    """Seconds asked for."""


@dataclass(frozen=True, slots=True)
class Registered:
    """The registrar holds our binding."""

    expires: int
    """Seconds granted."""
    flow: Flow
    """The server that answered: calls go there first."""
    fresh: bool
    """It was not registered before (a refresh is not fresh)."""


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """It did not work; another try is made in `retry_s`."""

    code: int
    """Of the response; 408 no reply, 503 no way there."""
    reason: str
    retry_s: float


@dataclass(frozen=True, slots=True)
class Unregistered:
    """The binding was taken back after `stop`, or the registrar did not care."""

    code: int


RegistrationHappening = Registered | RegistrationFailed | Unregistered


class Registration:
    """The state of one registration, driven beside the agent that carries its requests.

    Call `start`; hand every `RequestAnswered` to `take` first; call `elapse` at `deadline`.
    """

    def __init__(self, wish: RegistrationWish, agent: UserAgent, *, entropy: Callable[[int], bytes]) -> None:
        """Make a registration that does nothing before `start`."""
        self.state: RegistrationState = "idle"

    def start(self, now: float) -> None:
        """Begin to register."""

    def stop(self, now: float) -> None:
        """Take the binding back; `Unregistered` follows."""

    def retarget(self, targets: tuple[Flow, ...]) -> None:
        """Use other servers from the next request on (names were resolved anew)."""

    def refresh(self, now: float) -> None:
        """Register at once: a connection broke, an address changed."""

    def take(self, answered: RequestAnswered, now: float) -> bool:
        """Take an outcome; return False where it belongs to somebody else."""

    def elapse(self, now: float) -> None:
        """Do what is due."""

    def deadline(self) -> float | None:
        """Return when `elapse` is next needed."""

    def take_happenings(self) -> list[RegistrationHappening]:
        """Return what happened, in order."""
