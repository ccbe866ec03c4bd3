"""All telephones of pyVoIP: one for each trunk that asks for it, and the local phone where [sip] does."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from random import SystemRandom
from threading import Lock

from softswitch.call.needs import LegRequest, OnIncoming
from softswitch.call.reports import Report
from softswitch.endpoints.pyvoip.account import Account, Address, Dial
from softswitch.endpoints.pyvoip.arrivals import incoming_call
from softswitch.endpoints.pyvoip.controls import CallControl, Hooks, PhoneControl, Refusal
from softswitch.endpoints.pyvoip.dialling import on_trunk, to_address
from softswitch.endpoints.pyvoip.leg import Hear, PyvoipLeg
from softswitch.endpoints.pyvoip.library import CANNOT, check_version, make_phone
from softswitch.endpoints.pyvoip.room import FullError, Room
from softswitch.endpoints.pyvoip.terms import CODECS
from softswitch.endpoints.sip.identity import read_callee, user_of
from softswitch.endpoints.sip.outgoing import DialError
from softswitch.endpoints.sip.own_addresses import OwnAddresses
from softswitch.endpoints.sip.resolve import Resolver, UnresolvedError
from softswitch.endpoints.sip.rtp_sockets import RtpPair, RtpSockets
from softswitch.endpoints.sip.views import TrunkView
from softswitch.endpoints.websocket import Media
from softswitch.errors import NotNowError, SettingsError
from softswitch.settings import Settings, Trunk
from softswitch.sip.guard import is_within
from softswitch.sip.message import Request

logger = logging.getLogger(__name__)

LOCAL = ""
"""The name of the local phone among the trunks."""
ROUND_S = 20.0
"""How often servers that could not be found are looked up again."""


class PyvoipEndpoints:
    """Makes legs on pyVoIP (:class:`softswitch.call.needs.EndpointFactory`); tells of calls that come in."""

    def __init__(
        self,
        settings: Settings,
        engine: Media,
        on_incoming: OnIncoming,
        hear: Hear,
        *,
        resolver: Resolver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up everything; `start` opens the sockets. Nothing of pyVoIP is imported before.

        Args:
            settings: sections [sip] and [rtp], tables [[trunk]] and [[user]].
            engine: where ports are opened and audio goes.
            on_incoming: told of every call that comes in.
            hear: routes the frames of a port (`Routes.frames`).
            resolver: finds servers; by default by DNS.
            clock: monotonic seconds.

        Raises:
            UnavailableError: pyVoIP is not installed, or not the release that is pinned.
            SettingsError: a setting asks for what pyVoIP does not have.
        """
        check_version()
        self._settings = settings
        self._engine = engine
        self._on_incoming = on_incoming
        self._hear = hear
        self._resolver = resolver or Resolver(clock=clock)
        self._clock = clock
        self._trunks = {trunk.name: trunk for trunk in settings.trunk if trunk.engine == "pyvoip"}
        self._own = OwnAddresses(settings.sip, settings.rtp)
        self.room = Room(list(self._trunks.values()), clock=clock)
        self.events_dropped = 0
        """Keys that came faster than they could be told."""
        self.counters = {"calls_received": 0}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._phones: dict[str, PhoneControl] = {}
        self._trouble = dict.fromkeys(self._trunks, "")
        rtp = settings.rtp
        for section, host in (("sip", settings.sip.host), ("rtp", rtp.host)):
            if ":" in host:
                raise SettingsError("pyVoIP speaks IPv4 alone", section=section, key="host")
        self._sockets = RtpSockets(rtp.host, rtp.port_min, rtp.port_max, SystemRandom(), clock)
        self._sockets_lock = Lock()
        self._minding: asyncio.Task[None] | None = None

    @staticmethod
    def is_wanted(settings: Settings) -> bool:
        """Tell whether a trunk or the local phone asks for pyVoIP."""
        local = settings.sip.enabled and settings.sip.engine == "pyvoip"
        return local or any(trunk.engine == "pyvoip" for trunk in settings.trunk)

    # --- life ---------------------------------------------------------------------

    async def start(self) -> None:
        """Open the sockets and register the trunks, whose servers may be found later.

        Raises:
            OSError: the address of the local phone is not ours, or in use.
            UnavailableError: pyVoIP cannot be imported.
        """
        self._loop = asyncio.get_running_loop()
        logger.warning("pyVoIP is in use", extra={"calls": self.room.most, "cannot": CANNOT})
        sip = self._settings.sip
        if sip.enabled and sip.engine == "pyvoip":
            if self._settings.user:
                logger.warning("pyVoIP has no registrar: nobody of [[user]] can register or call")
            self._begin(self._local_account())
        await self._find_servers()
        self._minding = asyncio.get_running_loop().create_task(self._mind(), name="pyvoip trunks")

    async def drain(self) -> None:
        """Refuse new calls with 503, and take the registrations back; running calls go on."""
        self.room.is_closed = True
        for phone in self._phones.values():
            phone.sign_off()

    async def stop(self) -> None:
        """Hang up, take the registrations back, and close everything, in bounded time."""
        if self._minding is not None:
            self._minding.cancel()
            with suppress(asyncio.CancelledError):
                await self._minding
        for phone in self._phones.values():
            phone.stop()
        await asyncio.gather(*(asyncio.to_thread(phone.join) for phone in self._phones.values()))
        self._phones.clear()

    async def _mind(self) -> None:
        while True:
            await asyncio.sleep(ROUND_S)
            await self._find_servers()

    async def _find_servers(self) -> None:
        """Start the telephones of trunks whose servers were not found so far."""
        for name, trunk in self._trunks.items():
            if name in self._phones:
                continue
            try:
                self._begin(await self._account(trunk))
            except (UnresolvedError, OSError) as error:
                if self._trouble[name] != str(error):
                    logger.warning("a trunk cannot be found", extra={"trunk": name, "error": str(error)})
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
        logger.info("a telephone of pyVoIP", extra={"trunk": account.name, "port": phone.own_port})

    async def _account(self, trunk: Trunk) -> Account:
        found = await self._resolver.resolve_all(trunk.addresses())
        near = [one for one in found if one.transport == "udp" and ":" not in one.host]
        servers = tuple((one.host, one.port) for one in near)
        if not servers:
            raise UnresolvedError("pyVoIP speaks UDP over IPv4 alone, and no server of the trunk does")
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
        # Far ends that are not known yet: those of the world count, loopback where that is all we listen on.
        remote = sip.host if sip.host.startswith("127.") else "192.0.2.1"
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

    def _media_host(self, remote: str) -> str:
        return self._own.media(remote) or self._settings.rtp.external_ip or self._settings.rtp.host

    # --- calls that we place --------------------------------------------------------

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> PyvoipLeg:
        """Make the endpoint of a leg that calls somebody; it does nothing before its first verb."""
        return PyvoipLeg(
            self._engine, self._hear, self, self.room.leave, asyncio.get_running_loop(),
            request=request, report=report, prepare=self._prepare,
        )  # fmt: skip

    def carries(self, request: LegRequest) -> bool:
        """Tell whether a call is for pyVoIP: by its trunk, by the server it names, or by default."""
        return self._way(request) is not None

    def _way(self, request: LegRequest) -> str | None:
        """Return the name of the telephone that places a call, None where it is for our own stack."""
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
            named = {(one.host.lower(), one.port or 5060) for one in trunk.addresses()}
            phone = self._phones.get(name)
            found = phone.account.servers if phone is not None else ()
            if (host.lower(), port or 5060) in {*named, *found}:
                return name
        return None

    def _prepare(self, request: LegRequest) -> tuple[PhoneControl, Dial]:
        name = self._way(request)
        if name is None:
            raise DialError(404, f'trunk: {request.trunk!r} is no [[trunk]] with engine = "pyvoip"')
        phone, trunk = self._phones.get(name), self._trunks.get(name)
        if phone is None:
            trouble = self._trouble.get(name) or "pyVoIP is not started"
            raise NotNowError(f"trunk {name}: {trouble}", retry_after_s=ROUND_S)
        if trunk is not None:
            dial = on_trunk(request, trunk, phone.account)
        else:
            dial = to_address(request, phone.account, self._may_call)
        self.room.enter(name)
        return phone, dial

    def _may_call(self, host: str) -> bool:
        return is_within(host, self._settings.sip.networks()) or self._trunk_at(host) is not None

    # --- calls that come in; in the threads of pyVoIP ---------------------------------

    def _hooks(self, name: str) -> Hooks:
        return Hooks(
            admit=partial(self._admit, name),
            begin=self._enter,
            over=self.room.leave,
            incoming=partial(self._incoming, name),
            open_pair=self._open_pair,
            close_pair=self._close_pair,
        )

    def _admit(self, name: str, source: Address) -> str | None:
        """Return whose messages come from an address, None where it gets no answer."""
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

    def _enter(self, name: str) -> Refusal | None:
        try:
            self.room.enter(name)
        except FullError as error:
            if error.trunk:
                return Refusal(486, "Busy Here", str(error))
            return Refusal(503, "Service Unavailable", str(error))
        return None

    def _incoming(self, name: str, call: CallControl, request: Request, source: Address) -> None:
        loop = self._loop
        if loop is None:
            return
        leg = PyvoipLeg(self._engine, self._hear, self, self.room.leave, loop)
        leg.connect(self._phones[name], call)
        incoming = incoming_call(leg, request, self._trunks.get(call.line.whose), source[0])
        self.counters["calls_received"] += 1
        loop.call_soon_threadsafe(self._on_incoming, incoming)

    # --- sockets of audio -------------------------------------------------------------

    def _open_pair(self) -> RtpPair:
        with self._sockets_lock:
            return self._sockets.open()

    def _close_pair(self, pair: RtpPair) -> None:
        with self._sockets_lock:
            self._sockets.close(pair)

    # --- what is shown ----------------------------------------------------------------

    def trunks(self) -> list[TrunkView]:
        """Return the state of each trunk."""
        return [self._view(name, trunk) for name, trunk in self._trunks.items()]

    def numbers(self) -> dict[str, int]:
        """Return what was counted, of all telephones together."""
        numbers = dict(self.counters)
        for phone in self._phones.values():
            for name, value in phone.numbers().items():
                numbers[name] = numbers.get(name, 0) + value
        numbers["calls_refused"] = sum(self.room.refused.values())
        numbers["events_dropped"] = self.events_dropped
        return numbers

    @property
    def own_port(self) -> int:
        """Return the port of the local phone, 0 where there is none."""
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
            calls=self.room.calls[name],
            max_calls=trunk.max_calls,
            calls_refused=self.room.refused[name],
        )


def _codecs(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the codecs of these that pyVoIP has; both where it has none."""
    return tuple(name.upper() for name in wanted if name.upper() in CODECS) or tuple(CODECS)
