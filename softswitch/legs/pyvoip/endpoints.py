"""The telephones of pyVoIP: one for each trunk with `engine = "pyvoip"`, and the local phone of [sip]."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import SystemRandom
from threading import Lock

from softswitch.call.interfaces import LegRequest, OnIncoming
from softswitch.call.vocabulary.reports import Report
from softswitch.errors import NotNowError, SettingsError
from softswitch.legs.feed_port import FeedEngine, Listen
from softswitch.legs.network_changes import NetworkChanges
from softswitch.legs.pyvoip.account import Account, Address, Dial
from softswitch.legs.pyvoip.arrivals import incoming_call
from softswitch.legs.pyvoip.controls import CallControl, Hooks, PhoneControl, Refusal
from softswitch.legs.pyvoip.dialling import on_trunk, to_address
from softswitch.legs.pyvoip.leg import PyvoipLeg
from softswitch.legs.pyvoip.library import CANNOT, check_version, make_phone
from softswitch.legs.pyvoip.limits import CallLimits, FullError
from softswitch.legs.pyvoip.terms import CODECS
from softswitch.legs.sip.accounts.identity import read_callee, user_of
from softswitch.legs.sip.accounts.views import TrunkView
from softswitch.legs.sip.addressing.own_addresses import FAR, OwnAddresses
from softswitch.legs.sip.addressing.resolve import Resolver, UnresolvedError
from softswitch.legs.sip.addressing.trunk_servers import TrunkServers
from softswitch.legs.sip.dial_error import DialError
from softswitch.legs.sip.media.rtp_sockets import RtpPair, RtpSockets
from softswitch.legs.sip.routing.dial_check import DialCheck
from softswitch.log.tasks import Tasks
from softswitch.settings import Settings, Trunk
from softswitch.sip.security.guard import is_within
from softswitch.sip.syntax.hosts import canonical
from softswitch.sip.syntax.message import Request

logger = logging.getLogger(__name__)

LOCAL = ""
"""Name of the local phone among the trunks."""
ROUND_S = 20.0
"""Period of the resolution of servers that have no address yet, in seconds."""


class PyvoipEndpoints:
    """Factory of pyVoIP legs (:class:`EndpointFactory`) and receiver of pyVoIP calls."""

    def __init__(
        self,
        settings: Settings,
        engine: FeedEngine,
        on_incoming: OnIncoming,
        listen: Listen,
        *,
        resolver: Resolver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare without importing pyVoIP; `start` opens the sockets.

        Args:
            settings: sections [sip] and [rtp], tables [[trunk]] and [[user]].
            engine: the media engine.
            on_incoming: called with every incoming call.
            listen: routes the frames of a port (`Routes.frames`).
            resolver: resolves servers; by default over DNS.
            clock: monotonic seconds.

        Raises:
            UnavailableError: pyVoIP is not installed in the pinned release.
            SettingsError: a setting needs what pyVoIP lacks.
        """
        check_version()
        self._settings = settings
        self._engine = engine
        self._on_incoming = on_incoming
        self._listen = listen
        self._resolver = resolver or Resolver(clock=clock)
        self._clock = clock
        self._trunks = {trunk.name: trunk for trunk in settings.trunk if trunk.engine == "pyvoip"}
        self._own = OwnAddresses(settings.sip, settings.rtp)
        self._dial_check = DialCheck(settings.sip.allow, settings.egress.allow)
        self._servers = TrunkServers(settings.trunk, self._resolver, self._own.is_this_machine)
        self.limits = CallLimits(list(self._trunks.values()), clock=clock)
        self.events_dropped = 0
        """Digits that came faster than they could be reported."""
        self.counters = {"calls_received": 0, "address_changes": 0}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._phones: dict[str, PhoneControl] = {}
        self._trouble = dict.fromkeys(self._trunks, "")
        rtp = settings.rtp
        for section, host in (("sip", settings.sip.host), ("rtp", rtp.host)):
            if ":" in host:
                raise SettingsError("pyVoIP needs an IPv4 address", section=section, key="host")
        self._sockets = RtpSockets(rtp.host, rtp.port_min, rtp.port_max, SystemRandom(), clock)
        self._sockets_lock = Lock()
        self._tasks = Tasks("legs", "pyvoip")

    def use(self, settings: Settings) -> None:
        """Take other users, and other trunks of the built-in stack, while running."""
        self._settings = settings
        self._servers.use(settings.trunk)

    @staticmethod
    def is_wanted(settings: Settings) -> bool:
        """Tell whether a trunk or the local phone uses pyVoIP."""
        local = settings.sip.enabled and settings.sip.engine == "pyvoip"
        return local or any(trunk.engine == "pyvoip" for trunk in settings.trunk)

    # --- life ---------------------------------------------------------------------

    async def start(self) -> None:
        """Open the sockets and register the trunks; their servers may be resolved later.

        Raises:
            OSError: the address of the local phone is not local, or in use.
            UnavailableError: pyVoIP cannot be imported.
        """
        self._loop = asyncio.get_running_loop()
        logger.warning("pyVoIP is in use", extra={"calls": self.limits.most, "cannot": CANNOT})
        sip = self._settings.sip
        if sip.enabled and sip.engine == "pyvoip":
            if self._settings.user:
                logger.warning(
                    'pyVoIP has no registrar: users of [[user]] cannot register; set [sip] engine = "builtin"'
                )
            self._begin(self._local_account())
        await self._find_servers()
        self._tasks.spawn(self._resolve_again(), name="pyvoip trunks")
        self._tasks.spawn(self._follow_addresses(), name="pyvoip own addresses")

    async def drain(self) -> None:
        """Refuse new calls with 503 and unregister; running calls go on."""
        self.limits.is_closed = True
        for phone in self._phones.values():
            phone.sign_off()

    async def stop(self) -> None:
        """Hang up, unregister and close everything, in bounded time."""
        await self._tasks.stop()
        for phone in self._phones.values():
            phone.stop()
        await asyncio.gather(*(asyncio.to_thread(phone.join) for phone in self._phones.values()))
        self._phones.clear()

    async def _resolve_again(self) -> None:
        while True:
            await asyncio.sleep(ROUND_S)
            await self._find_servers()

    async def _follow_addresses(self) -> None:
        """Notice other addresses of this machine; telephones register with them, and new calls show them."""
        async with NetworkChanges() as changes:
            while True:
                await changes.wait()
                if self._own.refresh():
                    self._readdress()

    def _readdress(self) -> None:
        for name, phone in self._phones.items():
            account = phone.account
            remote = account.servers[0][0] if account.servers else self._assumed_peer()
            own_host, media_host = self._own.signalling("udp", remote)[0], self._media_host(remote)
            routed = self._own.local_address_for(remote)
            if not routed or (own_host, media_host) == (account.own_host, account.media_host):
                continue
            logger.warning(
                "own addresses of a telephone of pyVoIP have changed; its running calls keep the old ones",
                extra={"trunk": name, "changes": [f"{account.own_host} -> {own_host}"]},
            )
            self.counters["address_changes"] += 1
            phone.readdress(own_host, media_host)

    async def _find_servers(self) -> None:
        """Start the telephones of trunks whose servers had no address so far."""
        await self._servers.refresh()
        for name, trunk in self._trunks.items():
            if name in self._phones:
                continue
            try:
                self._begin(await self._account(trunk))
            except (UnresolvedError, OSError) as error:
                if self._trouble[name] != str(error):
                    logger.warning(
                        "the servers of a trunk cannot be resolved",
                        extra={"trunk": name, "error": str(error)},
                    )
                self._trouble[name] = str(error)

    def _begin(self, account: Account) -> None:
        phone = make_phone(account, self._hooks(account.name))
        # Before it starts: the first answer may come at once.
        self._phones[account.name] = phone
        try:
            phone.start()
        except OSError:
            del self._phones[account.name]
            raise
        logger.info("a telephone of pyVoIP listens", extra={"trunk": account.name, "port": phone.own_port})

    async def _account(self, trunk: Trunk) -> Account:
        found = await self._resolver.resolve_all(trunk.addresses())
        near = [one for one in found if one.transport == "udp" and ":" not in one.host]
        servers = tuple((one.host, one.port) for one in near)
        if not servers:
            raise UnresolvedError("pyVoIP needs a server with UDP over IPv4, and the trunk has none")
        first = trunk.addresses()[0]
        remote = servers[0][0]
        return Account(
            name=trunk.name,
            servers=servers,
            host=f"{first.host}:{first.port}" if first.port else first.host,
            domain=trunk.from_domain or first.host,
            bind=(self._settings.sip.host, 0),
            own_host=self._own.signalling("udp", remote)[0],
            media_host=self._media_host(remote),
            username=trunk.username or "softswitch",
            password=trunk.password,
            auth_user=trunk.auth_user,
            realm=trunk.realm,
            register=trunk.register,
            expires=trunk.expires,
            codecs=_codecs(trunk.codecs or self._settings.sip.codecs),
        )

    def _local_account(self) -> Account:
        sip = self._settings.sip
        remote = self._assumed_peer()
        host = self._own.signalling("udp", remote)[0]
        return Account(
            name=LOCAL,
            servers=(),
            host=host,
            domain=next(iter(sip.domains), "") or host,
            bind=(sip.host, sip.port),
            own_host=host,
            media_host=self._media_host(remote),
            codecs=_codecs(sip.codecs),
        )

    def _assumed_peer(self) -> str:
        """Return a public address where no peer is known, or loopback where the socket is bound to it."""
        host = self._settings.sip.host
        return host if host.startswith("127.") else FAR[0]

    def _media_host(self, remote: str) -> str:
        return self._own.media(remote)

    # --- calls that we place --------------------------------------------------------

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> PyvoipLeg:
        """Make the endpoint of an outgoing leg; it does nothing before its first command."""
        return PyvoipLeg(
            self._engine, self._listen, self, release=self.limits.release, loop=asyncio.get_running_loop(),
            request=request, on_report=report, prepare=self._prepare,
        )  # fmt: skip

    def carries(self, request: LegRequest) -> bool:
        """Tell whether pyVoIP places a call: by its trunk, by the server it names, or by default."""
        return self._telephone_for(request) is not None

    def _telephone_for(self, request: LegRequest) -> str | None:
        """Return the name of the telephone that places a call; None where the built-in stack does."""
        if request.trunk:
            return request.trunk if request.trunk in self._trunks else None
        sip, callee = self._settings.sip, request.callee.strip()
        local = LOCAL if sip.enabled and sip.engine == "pyvoip" else None
        uri = read_callee(callee)
        if uri is not None and uri.scheme != "tel" and not self._own.is_ours(uri.host, uri.port):
            return self._trunk_of(uri.host, uri.port) or local
        if local is None and user_of(callee) in {user.name for user in self._settings.user}:
            return None
        default = self._settings.default_trunk()
        if default is not None and default.name in self._trunks:
            return default.name
        return local

    def _trunk_of(self, host: str, port: int | None) -> str | None:
        """Return the trunk that has a server of this name or address."""
        for name, trunk in self._trunks.items():
            named = {(canonical(one.host), one.port or 5060) for one in trunk.addresses()}
            phone = self._phones.get(name)
            found = phone.account.servers if phone is not None else ()
            if (canonical(host), port or 5060) in {*named, *found}:
                return name
        return None

    def _prepare(self, request: LegRequest) -> tuple[PhoneControl, Dial]:
        name = self._telephone_for(request)
        if name is None:
            raise DialError(404, f'trunk: {request.trunk!r} is not a [[trunk]] with engine = "pyvoip"')
        phone, trunk = self._phones.get(name), self._trunks.get(name)
        if phone is None:
            trouble = self._trouble.get(name) or "pyVoIP is not started"
            raise NotNowError(f"trunk {name}: {trouble}", retry_after_s=ROUND_S)
        if trunk is not None:
            dial = on_trunk(request, trunk, phone.account)
        else:
            dial = to_address(request, phone.account, self._check)
        self.limits.acquire(name)
        return phone, dial

    def _check(self, host: str, port: int) -> None:
        if trunk := self._servers.at(host, port):
            raise DialError(
                403, f"callee: the address of trunk {trunk.name!r}: set `trunk`, and dial a number"
            )
        self._dial_check.check(host, port)

    # --- calls that come in; in the threads of pyVoIP ---------------------------------

    def _hooks(self, name: str) -> Hooks:
        return Hooks(
            admit=partial(self._admit, name),
            begin=self._acquire,
            over=self.limits.release,
            incoming=partial(self._incoming, name),
            open_pair=self._open_pair,
            close_pair=self._close_pair,
        )

    def _admit(self, name: str, source: Address) -> str | None:
        """Return the trunk that an address belongs to, "" for a trusted network; None gets no response."""
        if name != LOCAL:
            return name if self._lives_at(name, source[0]) else None
        if (trunk := self._trunk_at(source[0])) is not None:
            return trunk
        near = is_within(source[0], self._settings.sip.networks())
        return LOCAL if near and not self._settings.user else None

    def _lives_at(self, name: str, host: str) -> bool:
        phone = self._phones.get(name)
        if phone is not None and any(server[0] == host for server in phone.account.servers):
            return True
        return is_within(host, self._trunks[name].networks())

    def _trunk_at(self, host: str) -> str | None:
        return next((name for name in self._trunks if self._lives_at(name, host)), None)

    def _acquire(self, name: str) -> Refusal | None:
        try:
            self.limits.acquire(name)
        except FullError as error:
            if error.trunk:
                return Refusal(486, str(error))
            return Refusal(503, str(error))
        return None

    def _incoming(self, name: str, call: CallControl, request: Request, source: Address) -> None:
        loop = self._loop
        if loop is None:
            return
        leg = PyvoipLeg(self._engine, self._listen, self, release=self.limits.release, loop=loop)
        leg.connect(self._phones[name], call)
        incoming = incoming_call(leg, request, self._trunks.get(call.line.trunk), source[0])
        self.counters["calls_received"] += 1
        loop.call_soon_threadsafe(self._on_incoming, incoming)

    # --- sockets of audio -------------------------------------------------------------

    def _open_pair(self) -> RtpPair:
        with self._sockets_lock:
            return self._sockets.open()

    def _close_pair(self, pair: RtpPair) -> None:
        with self._sockets_lock:
            self._sockets.close(pair)

    # --- state and counters -----------------------------------------------------------

    def trunks(self) -> list[TrunkView]:
        """Return the state of each trunk."""
        return [self._view(name, trunk) for name, trunk in self._trunks.items()]

    def numbers(self) -> dict[str, int]:
        """Return the counters of all telephones together."""
        numbers = dict(self.counters)
        for phone in self._phones.values():
            for name, value in phone.numbers().items():
                numbers[name] = numbers.get(name, 0) + value
        numbers["calls_refused"] = sum(self.limits.refused.values())
        numbers["events_dropped"] = self.events_dropped
        numbers["failures"] = numbers.get("failures", 0) + self._tasks.failures
        return numbers

    @property
    def own_port(self) -> int:
        """Return the port of the local phone; 0 without one."""
        phone = self._phones.get(LOCAL)
        return phone.own_port if phone is not None else 0

    def _view(self, name: str, trunk: Trunk) -> TrunkView:
        phone = self._phones.get(name)
        if phone is None:
            return TrunkView(
                name=name,
                engine="pyvoip",
                state="unresolved",
                reason=self._trouble[name],
                max_calls=trunk.max_calls,
            )
        standing, server = phone.standing, phone.target
        return TrunkView(
            name=name,
            engine="pyvoip",
            state=standing.state,
            code=standing.code,
            reason=standing.reason if standing.state == "failed" else "",
            server=f"udp:{server[0]}:{server[1]}",
            expires_s=standing.expires_s,
            retry_s=max(round(standing.retry_at - self._clock(), 1), 0.0) if standing.retry_at else 0.0,
            calls=self.limits.calls[name],
            max_calls=trunk.max_calls,
            calls_refused=self.limits.refused[name],
        )


def _codecs(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return those of the codecs that pyVoIP has; both of its own where it has none of them."""
    return tuple(name.upper() for name in wanted if name.upper() in CODECS) or tuple(CODECS)
