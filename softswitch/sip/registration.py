"""A trunk's registration, as its client keeps it alive (RFC 3261 section 10.2)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from softswitch.sip.agent import UserAgent
from softswitch.sip.digest import Credentials
from softswitch.sip.flow import Flow
from softswitch.sip.grammar import MalformedError
from softswitch.sip.happenings import RequestAnswered
from softswitch.sip.message import Response
from softswitch.sip.routing import contact_uri
from softswitch.sip.uri import URI, parse_uri

RegistrationState = Literal["idle", "registering", "registered", "waiting", "unregistering", "unregistered"]
"""waiting: the last try failed, the next one is at `deadline`."""

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
REFUSED_PAUSE_S = 60.0
"""Least pause after 401, 403, 404, 407: who asks again at once is banned by many registrars."""
MARGIN_S = 10.0
"""A binding is refreshed this long before it ends, or after nine tenths of its time, whichever is later."""
SHORTEST_S = 10
"""A shorter time granted is kept no shorter: refreshing more often helps nobody."""


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
    local: bool = False
    """Nobody answered: the code is made up."""


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
        """Make a registration that does nothing before `start`.

        Args:
            wish: What is wanted.
            agent: Carries the requests.
            entropy: Gives that many random bytes, for the Call-ID and the jitter of pauses.

        Raises:
            MalformedError: a URI of the wish is none, or it has no target.
        """
        parse_uri(wish.registrar, "registrar")
        parse_uri(wish.aor, "aor")
        if not wish.targets:
            raise MalformedError(400, "a registration needs a server", field="targets")
        self.state: RegistrationState = "idle"
        self.expires = 0
        """Seconds granted, 0 while not registered."""
        self.failures = 0
        """Tries that failed in a row."""
        self.last_code = 0
        """Code of the last response, 0 before the first."""
        self._wish = wish
        self._agent = agent
        self._entropy = entropy
        self._asked_expires = wish.expires
        self._call_id = entropy(16).hex()
        self._sequence = 0
        self._key = ""
        self._flow: Flow | None = None
        self._until: float | None = None
        self._next: float | None = None
        self._stopping = False
        self._happenings: list[RegistrationHappening] = []

    @property
    def flow(self) -> Flow | None:
        """The server that holds the binding, None while none does."""
        return self._flow if self._until is not None else None

    def start(self, now: float) -> None:
        """Begin to register."""
        if self.state in ("idle", "unregistered", "waiting"):
            self._stopping = False
            self._register(now)

    def stop(self, now: float) -> None:
        """Take the binding back; `Unregistered` follows."""
        if self._stopping or self.state in ("idle", "unregistered"):
            return
        self._stopping = True
        self._next = None
        if self.state == "registering" and self._until is None:
            # What is under way may still succeed; its outcome is undone when it comes.
            self.state = "unregistering"
        elif self._until is None:
            self._unregistered(200)
        else:
            self.state = "unregistering"
            self._ask(0, now)

    def retarget(self, targets: tuple[Flow, ...]) -> None:
        """Use other servers from the next request on (names were resolved anew)."""
        if targets:
            self._wish = replace(self._wish, targets=targets)

    def refresh(self, now: float) -> None:
        """Register at once: a connection broke, an address changed."""
        if self.state in ("registered", "waiting"):
            self._register(now)

    def take(self, answered: RequestAnswered, now: float) -> bool:
        """Take an outcome; return False where it belongs to somebody else."""
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
        """Do what is due."""
        self._lapse(now)
        if self._next is not None and now >= self._next:
            self._register(now)

    def deadline(self) -> float | None:
        """Return when `elapse` is next needed."""
        times = [when for when in (self._next, self._until) if when is not None and not self._stopping]
        return min(times) if times else None

    def take_happenings(self) -> list[RegistrationHappening]:
        """Return what happened, in order."""
        taken, self._happenings = self._happenings, []
        return taken

    # ------------------------------------------------------------------ within
    def _register(self, now: float) -> None:
        self.state = "registering"
        self._next = None
        self._ask(self._asked_expires, now)

    def _ask(self, expires: int, now: float) -> None:
        """Send a REGISTER, first to the server that holds the binding."""
        wish = self._wish
        targets = wish.targets
        if self._flow is not None:
            held = self._flow
            known = [one for one in targets if _server(one) == _server(held)]
            first = (replace(known[0], connection=held.connection),) if known else ()
            targets = (*first, *(one for one in targets if _server(one) != _server(held)))
        self._key = self._agent.request(
            "REGISTER",
            wish.registrar,
            now,
            from_=f"<{wish.aor}>",
            to=f"<{wish.aor}>",
            targets=targets,
            headers={"Expires": str(expires)},
            credentials=wish.credentials,
            contact_user=wish.contact_user,
            call_id=self._call_id,
            cseq=self._sequence + 1,
        )

    def _granted(self, answered: RequestAnswered, now: float) -> None:
        fresh = self._until is None
        self.expires = max(_granted_expires(answered, self._wish, self._asked_expires), SHORTEST_S)
        self.state, self.failures = "registered", 0
        self._flow = answered.flow
        self._until = now + self.expires
        self._next = now + max(self.expires - MARGIN_S, 0.9 * self.expires - 1.0, self.expires / 2)
        self._happenings.append(Registered(self.expires, answered.flow, fresh))

    def _failed(self, answered: RequestAnswered, now: float) -> None:
        self.failures += 1
        self.state = "waiting"
        response = answered.response
        pause = min(FIRST_PAUSE_S * 2.0 ** min(self.failures - 1, 16), LONGEST_PAUSE_S)
        if response.code in (401, 403, 404, 407):
            pause = max(pause, REFUSED_PAUSE_S)
        # Half of the pause is jitter, so that a thousand trunks do not all come back in the same second.
        pause = pause / 2 + pause / 2 * int.from_bytes(self._entropy(2), "big") / 65535
        pause = max(pause, float(min(_retry_after(response), 3600)))
        self._lapse(now)
        self._next = now + pause
        self._happenings.append(
            RegistrationFailed(response.code, response.phrase, pause, local=answered.local)
        )

    def _lapse(self, now: float) -> None:
        """Forget a binding whose time is over."""
        if self._until is not None and now >= self._until and self.state != "unregistering":
            self._until, self._flow, self.expires = None, None, 0

    def _longer(self, response: Response) -> bool:
        """Take the Min-Expires of a 423; False where it asks for no more than we did."""
        least = response.min_expires or 0
        if least <= self._asked_expires:
            return False
        self._asked_expires = least
        return True

    def _stopped(self, answered: RequestAnswered, now: float) -> None:
        if answered.response.code < 300 and self._until is None:
            self._until, self._flow = now + self._wish.expires, answered.flow
            self._ask(0, now)
            return
        self._unregistered(answered.response.code)

    def _unregistered(self, code: int) -> None:
        self.state, self._until, self._flow, self._next, self.expires = "unregistered", None, None, None, 0
        self._happenings.append(Unregistered(code))


def _server(flow: Flow) -> tuple[str, str, int]:
    return flow.transport, flow.host, flow.port


def _granted_expires(answered: RequestAnswered, wish: RegistrationWish, asked: int) -> int:
    """Return the seconds granted: those of our own Contact, else of Expires, else what was asked for."""
    response = answered.response
    ours = contact_uri(answered.flow, wish.contact_user)
    for contact in response.contact:
        if _same(contact.uri, ours):
            text = contact.parameters.get("expires") or ""
            if text.isascii() and text.isdigit() and len(text) < 10:
                return int(text)
    return asked if response.expires is None else response.expires


def _same(uri: object, ours: URI) -> bool:
    return (
        isinstance(uri, URI)
        and (uri.user or "") == (ours.user or "")
        and uri.host.lower() == ours.host.lower()
        and (uri.port or 5060) == (ours.port or 5060)
    )


def _retry_after(response: Response) -> int:
    text = (response.headers.get("Retry-After") or "").partition(";")[0].partition("(")[0].strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
