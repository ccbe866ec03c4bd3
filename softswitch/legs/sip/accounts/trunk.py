"""One trunk of the built-in SIP stack: its servers, its registration, its limits and its caller ids."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from softswitch.errors import NotNowError
from softswitch.legs.sip.accounts.identity import ANONYMOUS, name_addr, sip_uri, written
from softswitch.legs.sip.accounts.views import TrunkState, TrunkView
from softswitch.legs.sip.addressing.own_addresses import OwnAddresses
from softswitch.legs.sip.addressing.resolve import Resolver, Target, UnresolvedError
from softswitch.legs.sip.driver import AgentDriver
from softswitch.settings import Trunk as TrunkSettings
from softswitch.sip.events import RequestAnswered
from softswitch.sip.registrar.registration import (
    Registered,
    Registration,
    RegistrationFailed,
    RegistrationOptions,
    Unregistered,
)
from softswitch.sip.security.digest import Credentials
from softswitch.sip.security.guard import Rate, is_within
from softswitch.sip.syntax.hosts import canonical
from softswitch.sip.transaction.flow import Flow

logger = logging.getLogger(__name__)

Entropy = Callable[[int], bytes]


@dataclass(slots=True)
class _Use:
    """What is counted of a trunk; it stays when the settings of the trunk change."""

    calls: int = 0
    refused: int = 0


class Trunk:
    """A trunk that the built-in SIP stack carries."""

    def __init__(
        self,
        settings: TrunkSettings,
        driver: AgentDriver,
        resolver: Resolver,
        own: OwnAddresses,
        entropy: Entropy,
    ) -> None:
        """Prepare without servers; `refresh` comes next.

        Args:
            settings: its [[trunk]] table.
            driver: driver of the agent that sends its requests.
            resolver: resolves its servers.
            own: returns the local address to announce to a server.
            entropy: returns random bytes.
        """
        self.settings = settings
        self.name = settings.name
        self._use = _Use()
        self._former: Trunk | None = None
        self.targets: tuple[Target, ...] = ()
        self._driver = driver
        self._resolver = resolver
        self._own = own
        self._entropy = entropy
        self._networks = settings.networks()
        self._rate = Rate(settings.calls_per_second)
        self._registration: Registration | None = None
        self._outcome: Registered | RegistrationFailed | Unregistered | None = None
        self._outcome_at = 0.0
        self._trouble = ""
        self._stopping = False
        self._held = True
        self._elsewhere: Callable[[str], int] = lambda name: 0
        self._share: Callable[[], float] = lambda: 1.0
        self._first = settings.addresses()[0]

    def succeed(self, former: "Trunk") -> None:
        """Take the place of the trunk of the same name with other settings: present calls go on counting.

        The binding at a registrar stays where it is the same one; otherwise the former trunk removes it.
        """
        self._use = former._use  # noqa: SLF001  (of the same class)
        self._elsewhere, self._share = former._elsewhere, former._share  # noqa: SLF001  (as above)
        self._held = former._held  # noqa: SLF001  (as above)
        if former.binding == self.binding:
            former._registration = None  # noqa: SLF001  (as above)
            former._stopping = True  # noqa: SLF001  (as above)
        else:
            former.unregister()
            self._former = former

    def _awaits_former(self) -> bool:
        """Tell whether a registrar must first remove the binding of the same address and Contact.

        Otherwise its answer could come after the new REGISTER, and remove the new binding.
        """
        former = self._former
        if former is None or not former.registered or former.address != self.address:
            return False
        there = {(target.host, target.port) for target in former.targets}
        return any((target.host, target.port) in there for target in self.targets)

    @property
    def binding(self) -> tuple[object, ...]:
        """Return what tells the binding at the registrar apart from others; empty without registration."""
        settings = self.settings
        if not settings.register:
            return ()
        return (settings.servers, self.address, settings.username)

    @property
    def calls(self) -> int:
        """Return the number of present calls."""
        return self._use.calls

    @property
    def refused(self) -> int:
        """Return how many calls the limits of the trunk refused."""
        return self._use.refused

    # --- servers ----------------------------------------------------------------------------

    @property
    def domain(self) -> str:
        """Return the domain of the switch's address of record at the trunk."""
        return self.settings.from_domain or written(self._first.host)

    @property
    def host(self) -> str:
        """Return host and port of its first server, as written in URIs."""
        port = f":{self._first.port}" if self._first.port else ""
        return f"{written(self._first.host)}{port}"

    @property
    def address(self) -> str:
        """Return the switch's address of record at the trunk."""
        return sip_uri(self.settings.username or self.settings.caller_id, self.domain)

    @property
    def credentials(self) -> Credentials | None:
        """Return the credentials for its challenges; None without a password."""
        settings = self.settings
        if not settings.password:
            return None
        return Credentials(settings.auth_user or settings.username, settings.password, settings.realm)

    async def refresh(self) -> None:
        """Resolve its servers again; start the registration once one is known."""
        known = self.targets
        try:
            await self.find()
        except UnresolvedError as error:
            if str(error) != self._trouble:
                logger.warning(
                    "the servers of a trunk cannot be resolved",
                    extra={"trunk": self.name, "error": str(error)},
                )
            self._trouble = str(error)
            return
        self._trouble = ""
        if self.targets != known and self._registration is not None:
            self._registration.retarget(self.flows())
        if self._registration is not None or not self.settings.register or self._stopping:
            return
        if self._held and not self._awaits_former():
            self._former = None
            self._begin()

    def hold(self, *, held: bool) -> None:
        """Register from now on, or leave that to another worker, which registers the same address."""
        self._held = held
        if not held:
            self._registration, self._outcome = None, None
        elif self.settings.register and self._registration is None and self.targets and not self._stopping:
            self._begin()

    def share_limits(self, elsewhere: Callable[[str], int], share: Callable[[], float]) -> None:
        """Have the limits hold for several nodes together.

        Args:
            elsewhere: Returns how many calls a trunk has on other nodes.
            share: Returns the share of this node in rates, 0 to 1.
        """
        self._elsewhere, self._share = elsewhere, share

    def readdress(self) -> None:
        """Register anew where the local address toward its servers has changed."""
        if self._registration is not None and not self._stopping:
            self._registration.retarget(self.flows())
            self._registration.refresh(self._driver.now())
            self._driver.pump()

    async def find(self) -> None:
        """Resolve its servers.

        Raises:
            UnresolvedError: none of them has an address.
        """
        self.targets = await self._resolver.resolve_all(self.settings.addresses())

    def flows(self) -> tuple[Flow, ...]:
        """Return the flows to its servers in order of fail-over, the one it is registered at first."""
        flows = tuple(self._flow(target) for target in self.targets)
        if isinstance(self._outcome, Registered):
            current = self._outcome.flow
            return tuple(sorted(flows, key=lambda flow: _endpoint(flow) != _endpoint(current)))
        return flows

    def owns(self, host: str) -> bool:
        """Tell whether an address belongs to this trunk: to a server, or to the networks of its table."""
        known = canonical(host)
        if any(canonical(target.host) == known for target in self.targets):
            return True
        return is_within(host, self._networks)

    def _flow(self, target: Target) -> Flow:
        host, port = self._own.signalling(target.transport, target.host)
        fixed = any(server.host == target.name and server.transport for server in self.settings.addresses())
        either = target.transport == "udp" and not fixed
        return Flow(target.transport, target.host, target.port, 0, host, port, or_tcp=either)

    # --- registration -----------------------------------------------------------------------

    def on_answered(self, answered: RequestAnswered) -> bool:
        """Handle the outcome of a REGISTER; return whether it was one of this trunk."""
        if self._registration is None or not self._registration.take(answered, self._driver.now()):
            return False
        self._note()
        return True

    def deadline(self) -> float | None:
        """Return the monotonic time at which `elapse` is next needed (`softswitch.legs.sip.driver.Timed`)."""
        return self._registration.deadline() if self._registration is not None else None

    def elapse(self, now: float) -> None:
        """Renew or retry the registration when it is due at `now`, in monotonic seconds."""
        if self._registration is not None:
            self._registration.elapse(now)
            self._note()

    def on_flow_lost(self, flow: Flow) -> None:
        """Register at once when the connection that carried the registration is closed."""
        current = self._outcome.flow if isinstance(self._outcome, Registered) else None
        if current is None or self._registration is None or self._stopping:
            return
        if flow.reliable and _endpoint(flow) == _endpoint(current):
            self._registration.refresh(self._driver.now())
            self._driver.pump()

    def unregister(self) -> None:
        """Unregister; `registered` becomes false when that is done."""
        self._stopping = True
        if self._registration is not None:
            self._registration.stop(self._driver.now())
            self._driver.pump()

    @property
    def registered(self) -> bool:
        """Tell whether the registrar holds a binding, by its last known response."""
        registration = self._registration
        return registration is not None and registration.state in ("registered", "unregistering")

    def keep_alive(self) -> Flow | None:
        """Return the flow to the UDP server whose NAT binding must be kept open; None without one."""
        if isinstance(self._outcome, Registered) and self._outcome.flow.transport == "udp":
            return self._outcome.flow
        return None

    def _begin(self) -> None:
        settings = self.settings
        wanted = RegistrationOptions(
            registrar=f"sip:{self.domain}",
            aor=self.address,
            targets=self.flows(),
            credentials=self.credentials,
            contact_user=settings.username,
            expires=settings.expires,
        )
        self._registration = Registration(wanted, self._driver.agent, entropy=self._entropy)
        self._registration.start(self._driver.now())
        self._driver.pump()

    def _note(self) -> None:
        if self._registration is None:
            return
        for outcome in self._registration.take_events():
            self._outcome, self._outcome_at = outcome, self._driver.now()
            match outcome:
                case Registered():
                    if outcome.fresh:
                        logger.info("a trunk is registered", extra={"trunk": self.name})
                case RegistrationFailed():
                    logger.warning(
                        "the registration of a trunk failed",
                        extra={"trunk": self.name, "code": outcome.code, "retry_s": outcome.retry_s},
                    )
                case Unregistered():
                    logger.info("a trunk is unregistered", extra={"trunk": self.name})
                case _ as unreachable:
                    assert_never(unreachable)

    # --- calls ------------------------------------------------------------------------------

    def admit_call(self) -> Callable[[], None]:
        """Count one more call; return the function that ends the count, however often it is called.

        Raises:
            NotNowError: the trunk has reached `max_calls` or `calls_per_second`.
        """
        bound, use = self.settings.max_calls, self._use
        if bound and use.calls + self._elsewhere(self.name) >= bound:
            use.refused += 1
            raise NotNowError(
                f"trunk {self.name}: {bound} calls are active, the limit of max_calls", retry_after_s=5
            )
        if not self._rate.take(self._driver.now(), self._share()):
            use.refused += 1
            raise NotNowError(f"trunk {self.name}: the limit of calls_per_second is reached")
        use.calls += 1
        held = [True]

        def release() -> None:
            if held:
                held.clear()
                use.calls -= 1

        return release

    def allows(self, number: str) -> bool:
        """Tell whether `prefixes` of the trunk allow a number, after its rewriting."""
        return not self.settings.prefixes or number.startswith(self.settings.prefixes)

    def caller(self, wanted: str) -> str:
        """Return the caller id for a call: the wanted one where `caller_ids` allow it, else the default."""
        settings = self.settings
        if wanted == ANONYMOUS or (wanted and (not settings.caller_ids or wanted in settings.caller_ids)):
            return wanted
        return settings.caller_id or next(iter(settings.caller_ids), "") or settings.username

    def identity(self, caller: str, name: str = "") -> tuple[str, dict[str, str]]:
        """Return From and the identity headers (RFC 3325) for a caller id.

        A trunk identifies the switch by its account. A caller id that differs from the account is therefore
        repeated in P-Asserted-Identity.

        Args:
            caller: number or name; "anonymous" withholds it.
            name: display name.
        """
        own = sip_uri(self.settings.caller_id or self.settings.username, self.domain)
        if caller == ANONYMOUS:
            headers = {"Privacy": "id", "P-Asserted-Identity": f"<{own}>"}
            return '"Anonymous" <sip:anonymous@anonymous.invalid>', headers
        uri = sip_uri(caller or ANONYMOUS, self.domain)
        asserted = {"P-Asserted-Identity": f"<{uri}>"} if caller not in ("", self.settings.username) else {}
        return name_addr(uri, name), asserted

    # --- state ------------------------------------------------------------------------------

    def view(self) -> TrunkView:
        """Return the state of the trunk, for REST, metrics and the page."""
        outcome, now = self._outcome, self._driver.now()
        failed = outcome if isinstance(outcome, RegistrationFailed) else None
        first = self.flows()[:1]
        return TrunkView(
            name=self.name,
            state=self._state(),
            code=_code(outcome),
            reason=self._trouble or (failed.reason if failed else ""),
            server="".join(f"{flow.transport}:{written(flow.host)}:{flow.port}" for flow in first),
            expires_s=outcome.expires if isinstance(outcome, Registered) else 0,
            retry_s=max(round(self._outcome_at + failed.retry_s - now, 1), 0.0) if failed else 0.0,
            calls=self.calls,
            max_calls=self.settings.max_calls,
            calls_refused=self.refused,
        )

    def _state(self) -> TrunkState:
        if self._trouble and not self.targets:
            return "unresolved"
        if not self.settings.register:
            return "ready" if self.targets else "unresolved"
        match self._outcome:
            case Registered():
                return "registered"
            case RegistrationFailed():
                return "failed"
            case Unregistered():
                return "unregistered"
            case None:
                return "registering"


def _endpoint(flow: Flow) -> tuple[str, str, int]:
    return flow.transport, flow.host, flow.port


def _code(outcome: Registered | RegistrationFailed | Unregistered | None) -> int:
    """Return the status code of the registrar's last response; 0 before the first one."""
    match outcome:
        case Registered():
            return 200
        case RegistrationFailed():
            return outcome.code
        case Unregistered() | None:
            return 0
