"""One trunk: where its servers are, whether it is registered, what calls it carries, who calls over it."""

import logging
from collections.abc import Callable

from softswitch.endpoints.sip.driver import AgentDriver
from softswitch.endpoints.sip.identity import ANONYMOUS, name_addr, sip_uri, written
from softswitch.endpoints.sip.own_addresses import OwnAddresses
from softswitch.endpoints.sip.resolve import Resolver, Target, UnresolvedError
from softswitch.endpoints.sip.views import TrunkState, TrunkView
from softswitch.errors import NotNowError
from softswitch.settings import Trunk as TrunkSettings
from softswitch.sip.digest import Credentials
from softswitch.sip.flow import Flow
from softswitch.sip.guard import Rate, is_within
from softswitch.sip.happenings import RequestAnswered
from softswitch.sip.registration import (
    Registered,
    Registration,
    RegistrationFailed,
    RegistrationWish,
    Unregistered,
)

logger = logging.getLogger(__name__)

Entropy = Callable[[int], bytes]


class Trunk:
    """A trunk that our own stack carries."""

    def __init__(
        self,
        settings: TrunkSettings,
        driver: AgentDriver,
        resolver: Resolver,
        own: OwnAddresses,
        entropy: Entropy,
    ) -> None:
        """Know no servers yet; `refresh` comes next.

        Args:
            settings: its table of the settings.
            driver: of the agent that carries its requests.
            resolver: finds its servers.
            own: by which of our addresses they reach us.
            entropy: random bytes.
        """
        self.settings = settings
        self.name = settings.name
        self.calls = 0
        self.refused = 0
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
        self._first = settings.addresses()[0]

    # --- where it is ------------------------------------------------------------------------

    @property
    def domain(self) -> str:
        """Return the domain of our own address there."""
        return self.settings.from_domain or written(self._first.host)

    @property
    def host(self) -> str:
        """Return host and port of its first server, as a URI has them."""
        port = f":{self._first.port}" if self._first.port else ""
        return f"{written(self._first.host)}{port}"

    @property
    def address(self) -> str:
        """Return the URI of our own address there."""
        return sip_uri(self.settings.username or self.settings.caller_id, self.domain)

    @property
    def credentials(self) -> Credentials | None:
        """Return the proof for its challenges, None where there is none."""
        settings = self.settings
        if not settings.password:
            return None
        return Credentials(settings.auth_user or settings.username, settings.password, settings.realm)

    async def refresh(self) -> None:
        """Find its servers (again), and begin to register once they are known."""
        known = self.targets
        try:
            await self.find()
        except UnresolvedError as error:
            if str(error) != self._trouble:
                logger.warning("a trunk cannot be found", extra={"trunk": self.name, "error": str(error)})
            self._trouble = str(error)
            return
        self._trouble = ""
        if self.targets != known and self._registration is not None:
            self._registration.retarget(self.flows())
        if self.settings.register and self._registration is None and not self._stopping:
            self._begin()

    async def find(self) -> None:
        """Find its servers.

        Raises:
            UnresolvedError: none of them leads anywhere.
        """
        self.targets = await self._resolver.resolve_all(self.settings.addresses())

    def flows(self) -> tuple[Flow, ...]:
        """Return where its requests go, in order of fail-over: first where it is registered."""
        flows = tuple(self._flow(target) for target in self.targets)
        if isinstance(self._outcome, Registered):
            there = self._outcome.flow
            return tuple(sorted(flows, key=lambda flow: _way(flow) != _way(there)))
        return flows

    def owns(self, host: str) -> bool:
        """Tell whether calls from an address come from this trunk."""
        if any(target.host == host for target in self.targets):
            return True
        return is_within(host, self._networks)

    def _flow(self, target: Target) -> Flow:
        host, port = self._own.signalling(target.transport, target.host)
        fixed = any(server.host == target.name and server.transport for server in self.settings.addresses())
        either = target.transport == "udp" and not fixed
        return Flow(target.transport, target.host, target.port, 0, host, port, or_tcp=either)

    # --- its registration -------------------------------------------------------------------

    def take(self, answered: RequestAnswered) -> bool:
        """Take the outcome of a REGISTER; False where it belongs to somebody else."""
        if self._registration is None or not self._registration.take(answered, self._driver.now()):
            return False
        self._note()
        return True

    def deadline(self) -> float | None:
        """Return when `elapse` is next needed (`softswitch.endpoints.sip.driver.Timed`)."""
        return self._registration.deadline() if self._registration is not None else None

    def elapse(self, now: float) -> None:
        """Register again when it is time to."""
        if self._registration is not None:
            self._registration.elapse(now)
            self._note()

    def broken(self, flow: Flow) -> None:
        """Register at once if the connection that carries the registration is gone."""
        there = self._outcome.flow if isinstance(self._outcome, Registered) else None
        if there is None or self._registration is None or self._stopping:
            return
        if flow.reliable and _way(flow) == _way(there):
            self._registration.refresh(self._driver.now())
            self._driver.pump()

    def unregister(self) -> None:
        """Take the binding back; `registered` tells when that is done."""
        self._stopping = True
        if self._registration is not None:
            self._registration.stop(self._driver.now())
            self._driver.pump()

    @property
    def registered(self) -> bool:
        """Tell whether the registrar holds our binding, as far as we know."""
        registration = self._registration
        return registration is not None and registration.state in ("registered", "unregistering")

    def keep_alive(self) -> Flow | None:
        """Return the UDP server whose way through a NAT has to be kept open, None where there is none."""
        if isinstance(self._outcome, Registered) and self._outcome.flow.transport == "udp":
            return self._outcome.flow
        return None

    def _begin(self) -> None:
        settings = self.settings
        wish = RegistrationWish(
            registrar=f"sip:{self.domain}",
            aor=self.address,
            targets=self.flows(),
            credentials=self.credentials,
            contact_user=settings.username,
            expires=settings.expires,
        )
        self._registration = Registration(wish, self._driver.agent, entropy=self._entropy)
        self._registration.start(self._driver.now())
        self._driver.pump()

    def _note(self) -> None:
        if self._registration is None:
            return
        for outcome in self._registration.take_happenings():
            self._outcome, self._outcome_at = outcome, self._driver.now()
            match outcome:
                case Registered():
                    if outcome.fresh:
                        logger.info("a trunk is registered", extra={"trunk": self.name})
                case RegistrationFailed():
                    logger.warning(
                        "a trunk is not registered",
                        extra={"trunk": self.name, "code": outcome.code, "retry_s": outcome.retry_s},
                    )
                case Unregistered():
                    logger.info("a trunk is unregistered", extra={"trunk": self.name})

    # --- its calls --------------------------------------------------------------------------

    def enter(self) -> Callable[[], None]:
        """Take the place of one more call; return what gives it back, once.

        Raises:
            NotNowError: the trunk has as many calls as it may have, at once or in this second.
        """
        bound = self.settings.max_calls
        if bound and self.calls >= bound:
            self.refused += 1
            raise NotNowError(f"trunk {self.name}: {bound} calls at once (max_calls)", retry_after_s=5)
        if not self._rate.take(self._driver.now()):
            self.refused += 1
            raise NotNowError(f"trunk {self.name}: too many calls in this second (calls_per_second)")
        self.calls += 1
        held = [True]

        def leave() -> None:
            if held:
                held.clear()
                self.calls -= 1

        return leave

    def allows(self, number: str) -> bool:
        """Tell whether a number, as it would be dialled, may be dialled there."""
        return not self.settings.prefixes or number.startswith(self.settings.prefixes)

    def caller(self, wanted: str) -> str:
        """Return the number or name that a call shows there."""
        settings = self.settings
        if wanted == ANONYMOUS or (wanted and (not settings.caller_ids or wanted in settings.caller_ids)):
            return wanted
        return settings.caller_id or next(iter(settings.caller_ids), "") or settings.username

    def identity(self, caller: str, name: str = "") -> tuple[str, dict[str, str]]:
        """Return From, and the headers that assert who calls (RFC 3325), for a shown number.

        The provider knows us by our account: where another number is shown, it learns that number from
        P-Asserted-Identity as well.
        """
        own = sip_uri(self.settings.caller_id or self.settings.username, self.domain)
        if caller == ANONYMOUS:
            headers = {"Privacy": "id", "P-Asserted-Identity": f"<{own}>"}
            return '"Anonymous" <sip:anonymous@anonymous.invalid>', headers
        uri = sip_uri(caller or ANONYMOUS, self.domain)
        asserted = {"P-Asserted-Identity": f"<{uri}>"} if caller not in ("", self.settings.username) else {}
        return name_addr(uri, name), asserted

    # --- what is shown ----------------------------------------------------------------------

    def view(self) -> TrunkView:
        """Return its state."""
        outcome, now = self._outcome, self._driver.now()
        failed = outcome if isinstance(outcome, RegistrationFailed) else None
        there = self.flows()[:1]
        return TrunkView(
            name=self.name,
            state=self._state(),
            code=200 if isinstance(outcome, Registered) else getattr(outcome, "code", 0),
            reason=self._trouble or (failed.reason if failed else ""),
            server="".join(f"{flow.transport}:{written(flow.host)}:{flow.port}" for flow in there),
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


def _way(flow: Flow) -> tuple[str, str, int]:
    return flow.transport, flow.host, flow.port
