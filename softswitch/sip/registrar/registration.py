"""Registration of a trunk at its registrar, kept alive and refreshed (RFC 3261 section 10.2)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from softswitch.sip.agent import UserAgent
from softswitch.sip.dialog.request import OutgoingRequest
from softswitch.sip.dialog.routing import contact_uri
from softswitch.sip.events import RequestAnswered
from softswitch.sip.security.digest import Credentials
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.message import Response
from softswitch.sip.syntax.uri import URI, parse_uri
from softswitch.sip.transaction.flow import Flow

RegistrationState = Literal["idle", "registering", "registered", "waiting", "unregistering", "unregistered"]
"""``waiting``: the last attempt failed, the next one is at `deadline`."""

FIRST_PAUSE_S = 5.0
"""Pause after the first failed attempt; it doubles with each further one."""
LONGEST_PAUSE_S = 300.0
REFUSED_PAUSE_S = 60.0
"""Shortest pause after 401, 403, 404, 407: many registrars ban clients that try again at once."""
MARGIN_S = 10.0
"""A binding is refreshed this many seconds before it expires; see `_granted` for short ones."""
SHORTEST_S = 10
"""Shortest lifetime in seconds that is believed, so that a registrar cannot cause a flood of refreshes."""


@dataclass(frozen=True, slots=True)
class RegistrationOptions:
    """What to register, and where."""

    registrar: str
    """Request-URI: ``sip:example.org``."""
    aor: str
    """Address of record, the URI in To and From."""
    targets: tuple[Flow, ...]
    """Servers in order of preference, resolved."""
    credentials: Credentials | None = None
    contact_user: str = ""
    expires: int = 600
    """Lifetime to ask for, in seconds."""


@dataclass(frozen=True, slots=True)
class Registered:
    """The registrar accepted the binding."""

    expires: int
    """Lifetime granted, in seconds."""
    flow: Flow
    """Server that answered; calls go there first."""
    fresh: bool
    """Whether there was no binding before; False for a refresh."""


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """An attempt failed; the next one follows in `retry_s` seconds."""

    code: int
    """Code of the response; 408 if none came, 503 if the request could not be sent."""
    reason: str
    retry_s: float
    local: bool = False
    """Whether the stack made the response, because none came."""


@dataclass(frozen=True, slots=True)
class Unregistered:
    """The registration ended after `stop`, whether or not the registrar confirmed it."""

    code: int


RegistrationEvent = Registered | RegistrationFailed | Unregistered


class Registration:
    """One registration, driven beside the agent that sends its requests.

    The driver calls `start`, passes each `RequestAnswered` to `take`, and calls `elapse` at `deadline`.
    """

    def __init__(
        self, options: RegistrationOptions, agent: UserAgent, *, entropy: Callable[[int], bytes]
    ) -> None:
        """Create a registration; `start` begins it.

        Args:
            options: What to register, and where.
            agent: Sends the requests.
            entropy: Returns that many random bytes, for the Call-ID and the jitter of pauses.

        Raises:
            MalformedError: A URI is malformed, or there is no target.
        """
        parse_uri(options.registrar, "registrar")
        parse_uri(options.aor, "aor")
        if not options.targets:
            raise MalformedError(400, "targets must name at least one server", field="targets")
        self.state: RegistrationState = "idle"
        self.expires = 0
        """Lifetime granted in seconds, 0 while not registered."""
        self.failures = 0
        """Failed attempts in a row."""
        self.last_code = 0
        """Code of the last response, 0 before the first."""
        self._account = options
        self._agent = agent
        self._entropy = entropy
        self._asked_expires = options.expires
        self._call_id = entropy(16).hex()
        self._sequence = 0
        self._key = ""
        self._flow: Flow | None = None
        self._until: float | None = None
        self._next: float | None = None
        self._stopping = False
        self._events: list[RegistrationEvent] = []

    @property
    def flow(self) -> Flow | None:
        """Server that holds the binding, None while not registered."""
        return self._flow if self._until is not None else None

    def start(self, now: float) -> None:
        """Begin to register, unless registered already."""
        if self.state in ("idle", "unregistered", "waiting"):
            self._stopping = False
            self._register(now)

    def stop(self, now: float) -> None:
        """Remove the binding; `Unregistered` follows."""
        if self._stopping or self.state in ("idle", "unregistered"):
            return
        self._stopping = True
        self._next = None
        if self.state == "registering" and self._until is None:
            # The REGISTER under way may still succeed; then `_stopped` removes its binding.
            self.state = "unregistering"
        elif self._until is None:
            self._unregistered(200)
        else:
            self.state = "unregistering"
            self._ask(0, now)

    def retarget(self, targets: tuple[Flow, ...]) -> None:
        """Use other servers from the next request on, because names were resolved anew."""
        if targets:
            self._account = replace(self._account, targets=targets)

    def refresh(self, now: float) -> None:
        """Register at once, because a connection broke or an address changed."""
        if self.state in ("registered", "waiting"):
            self._register(now)

    def take(self, answered: RequestAnswered, now: float) -> bool:
        """Handle the outcome of a request; return False if it is not this registration's."""
        if answered.key != self._key or not self._key:
            return False
        self._key = ""
        response = answered.response
        self._sequence = max(self._sequence, response.cseq.sequence)
        self.last_code = response.code
        if self._stopping:
            self._stopped(answered, now)
        elif response.code < 300:
            self._granted(answered, now)
        elif response.code == 423 and self._longer(response):
            self._ask(self._asked_expires, now)
        else:
            self._failed(answered, now)
        return True

    def elapse(self, now: float) -> None:
        """Refresh, try again or let the binding expire, whichever is due at `now`."""
        self._lapse(now)
        if self._next is not None and now >= self._next:
            self._register(now)

    def deadline(self) -> float | None:
        """Return when `elapse` is needed next, None if nothing is planned."""
        times = [when for when in (self._next, self._until) if when is not None and not self._stopping]
        return min(times) if times else None

    def take_events(self) -> list[RegistrationEvent]:
        """Return and clear the events, in order."""
        taken, self._events = self._events, []
        return taken

    # ------------------------------------------------------------------ internals
    def _register(self, now: float) -> None:
        self.state = "registering"
        self._next = None
        self._ask(self._asked_expires, now)

    def _ask(self, expires: int, now: float) -> None:
        """Send a REGISTER, first to the server that holds the binding."""
        account = self._account
        targets = account.targets
        if self._flow is not None:
            held = self._flow
            known = [one for one in targets if _server(one) == _server(held)]
            first = (replace(known[0], connection=held.connection),) if known else ()
            targets = (*first, *(one for one in targets if _server(one) != _server(held)))
        register = OutgoingRequest(
            "REGISTER",
            account.registrar,
            from_=f"<{account.aor}>",
            to=f"<{account.aor}>",
            targets=targets,
            headers={"Expires": str(expires)},
            credentials=account.credentials,
            contact_user=account.contact_user,
            call_id=self._call_id,
            cseq=self._sequence + 1,
        )
        self._key = self._agent.request(register, now)

    def _granted(self, answered: RequestAnswered, now: float) -> None:
        fresh = self._until is None
        self.expires = max(_granted_expires(answered, self._account, self._asked_expires), SHORTEST_S)
        self.state, self.failures = "registered", 0
        self._flow = answered.flow
        self._until = now + self.expires
        # 10 s before the end, or after nine tenths of the lifetime less 1 s, whichever is later, but never
        # before its half: 590 s of 600 s, 53 s of 60 s, 8 s of 10 s.
        self._next = now + max(self.expires - MARGIN_S, 0.9 * self.expires - 1.0, self.expires / 2)
        self._events.append(Registered(self.expires, answered.flow, fresh))

    def _failed(self, answered: RequestAnswered, now: float) -> None:
        self.failures += 1
        self.state = "waiting"
        response = answered.response
        pause = min(FIRST_PAUSE_S * 2.0 ** min(self.failures - 1, 16), LONGEST_PAUSE_S)
        if response.code in (401, 403, 404, 407):
            pause = max(pause, REFUSED_PAUSE_S)
        # Half of the pause is random, so that a thousand trunks do not all try again in the same second.
        pause = pause / 2 + pause / 2 * int.from_bytes(self._entropy(2), "big") / 65535
        pause = max(pause, float(min(_retry_after(response), 3600)))
        self._lapse(now)
        self._next = now + pause
        self._events.append(RegistrationFailed(response.code, response.phrase, pause, local=answered.local))

    def _lapse(self, now: float) -> None:
        """Drop a binding that has expired."""
        if self._until is not None and now >= self._until and self.state != "unregistering":
            self._until, self._flow, self.expires = None, None, 0

    def _longer(self, response: Response) -> bool:
        """Adopt the Min-Expires of a 423; return False if it does not exceed what was asked for."""
        least = response.min_expires or 0
        if least <= self._asked_expires:
            return False
        self._asked_expires = least
        return True

    def _stopped(self, answered: RequestAnswered, now: float) -> None:
        if answered.response.code < 300 and self._until is None:
            self._until, self._flow = now + self._account.expires, answered.flow
            self._ask(0, now)
            return
        self._unregistered(answered.response.code)

    def _unregistered(self, code: int) -> None:
        self.state, self._until, self._flow, self._next, self.expires = "unregistered", None, None, None, 0
        self._events.append(Unregistered(code))


def _server(flow: Flow) -> tuple[str, str, int]:
    return flow.transport, flow.host, flow.port


def _granted_expires(answered: RequestAnswered, options: RegistrationOptions, asked: int) -> int:
    """Return the granted seconds: those of the own Contact, else of Expires, else what was asked for."""
    response = answered.response
    own = contact_uri(answered.flow, options.contact_user)
    for contact in response.contact:
        if _same(contact.uri, own):
            text = contact.parameters.get("expires") or ""
            if text.isascii() and text.isdigit() and len(text) < 10:
                return int(text)
    return asked if response.expires is None else response.expires


def _same(uri: object, own: URI) -> bool:
    return (
        isinstance(uri, URI)
        and (uri.user or "") == (own.user or "")
        and uri.host.lower() == own.host.lower()
        and (uri.port or 5060) == (own.port or 5060)
    )


def _retry_after(response: Response) -> int:
    text = (response.headers.get("Retry-After") or "").partition(";")[0].partition("(")[0].strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
