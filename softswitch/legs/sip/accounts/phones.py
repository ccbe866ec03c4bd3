"""Registrar of the [[user]] tables (RFC 3261 section 10): where the devices of users can be reached."""

import asyncio
from collections.abc import Callable, Sequence

from softswitch.legs.sip.accounts.pulse import Pulse
from softswitch.legs.sip.accounts.views import ContactView, UserView
from softswitch.legs.sip.driver import AgentDriver
from softswitch.settings import Sip, User
from softswitch.sip.events import RequestReceived
from softswitch.sip.registrar.bindings import Binding, Bindings
from softswitch.sip.transaction.flow import Flow

ROUND_S = 1.0
"""Period of the look for keep-alives that are due, in seconds."""


class Phones:
    """The registered devices of all users."""

    def __init__(
        self, users: Sequence[User], sip: Sip, driver: AgentDriver, is_open: Callable[[Flow], bool]
    ) -> None:
        """Begin without registrations.

        Args:
            users: users that may register.
            sip: lifetimes and limits of registrations.
            driver: driver of the agent that sends the responses.
            is_open: tells whether a flow can still carry a message.
        """
        self.by_name = {user.name: user for user in users}
        self.token_ways = frozenset(user.tokens for user in users)
        """Over which transports any user may show a token: off, secure, any."""
        self._driver = driver
        self._is_open = is_open
        self._most = sip.max_contacts
        self.pulse = Pulse(sip.keep_alive_s)
        """Keep-alives to the phones behind a NAT."""
        self.on_registered: Callable[[str], None] = lambda name: None
        """Called with each user whose registrations have changed by a REGISTER."""
        self.on_added: Callable[[str, Sequence[Binding]], None] = lambda name, added: None
        """Called with each user and the devices that have registered anew."""
        self.keeps: Callable[[str], bool] = lambda name: True
        """Tells whether keep-alives to the phones of a user are sent by this process."""
        self._bound = asyncio.Event()
        """Set by each change of a user's bindings; ends the rest of :meth:`keep_alive`."""
        self._far: dict[str, dict[str, float]] = {}
        """Machines with connections of a user's phones, each with the end of the last binding in monotonic
        seconds."""
        self._table = Bindings(
            default_expires=sip.register_expires,
            min_expires=sip.register_min_expires,
            max_expires=sip.register_expires,
        )

    def use(self, users: Sequence[User]) -> None:
        """Take other users: the devices of those that are gone are forgotten, calls go on."""
        named = {user.name: user for user in users}
        for name in self.by_name.keys() - named.keys():
            self._table.drop(name)
            self._far.pop(name, None)
        self.by_name.clear()
        self.by_name.update(named)
        self.token_ways = frozenset(user.tokens for user in users)

    def __contains__(self, name: object) -> bool:
        """Tell whether a user of this name exists, registered or not."""
        return name in self.by_name

    def user(self, name: str) -> User | None:
        """Return a user by name; None where there is no such user."""
        return self.by_name.get(name)

    def register(self, received: RequestReceived, name: str, seconds_left: float | None = None) -> None:
        """Answer the REGISTER of an authenticated user.

        Args:
            received: the request.
            name: name of the user.
            seconds_left: how long its token is valid yet, which bounds the registration; None: unbounded.
        """
        now = self._driver.now()
        user = self.by_name[name]
        outcome = self._table.update(
            name,
            received.request,
            received.flow,
            now,
            max_contacts=min(user.max_contacts, self._most),
            nat=user.nat,
            most_s=None if seconds_left is None else max(int(seconds_left), 1),
        )
        self._driver.agent.respond(
            received.key,
            outcome.code,
            now,
            reason=outcome.reason,
            headers={key: value for key, value in outcome.headers if key != "Contact"},
            contacts=tuple(value for key, value in outcome.headers if key == "Contact"),
        )
        self._bound.set()
        if outcome.code == 200 and received.request.contact:
            self.on_registered(name)
        if outcome.added:
            self.on_added(name, outcome.added)

    def bindings(self, name: str) -> list[Binding]:
        """Return all bindings of a user, the one with the highest q first."""
        return self._table.contacts(name, self._driver.now())

    def replace(self, name: str, bindings: Sequence[Binding]) -> None:
        """Replace the bindings of a user by those that another worker has told."""
        if name in self.by_name:
            self._table.replace(name, bindings)
            self._bound.set()

    def replace_far(self, name: str, machine: str, bindings: Sequence[Binding]) -> None:
        """Replace what another machine knows of a user: bindings by datagrams, and that it has connections.

        Connections of this machine stay, whatever another one tells.
        """
        if name not in self.by_name:
            return
        own = [one for one in self.bindings(name) if one.flow.connection]
        self._table.replace(name, [*own, *(one for one in bindings if not one.flow.connection)])
        self._bound.set()
        ends = [one.expires_at for one in bindings if one.flow.connection]
        known = self._far.setdefault(name, {})
        known.pop(machine, None)
        if ends:
            known[machine] = max(ends)
        if not known:
            del self._far[name]

    def machines(self, name: str) -> list[str]:
        """Return the other machines that phones of a user are connected with."""
        now = self._driver.now()
        return [machine for machine, end in self._far.get(name, {}).items() if end > now]

    def registered_names(self) -> list[str]:
        """Return the users with a binding."""
        return list(self._table.all_bindings(self._driver.now()))

    def contacts(self, name: str) -> list[Binding]:
        """Return the reachable bindings of a user, the one with the highest q first."""
        return [
            binding
            for binding in self._table.contacts(name, self._driver.now())
            if self._is_open(binding.flow)
        ]

    def is_from_device(self, host: str) -> bool:
        """Tell whether a device is registered from an IP address."""
        return self._table.has_host(host)

    def behind_nat(self) -> list[Binding]:
        """Return the bindings that need keep-alives."""
        all_bindings = self._table.all_bindings(self._driver.now()).values()
        return [
            one for bindings in all_bindings for one in bindings if one.behind_nat and self.keeps(one.aor)
        ]

    async def keep_alive(self, ask: Callable[[Binding], None]) -> None:
        """Send keep-alives to the phones behind a NAT when they are due, until cancelled.

        Args:
            ask: sends OPTIONS to a device; its outcome goes to `pulse`.
        """
        while True:
            await asyncio.sleep(ROUND_S)
            for binding in self.pulse.due(self.behind_nat(), self._driver.now()):
                ask(binding)
            if not self._table:  # Nothing is due until a device registers.
                self._bound.clear()
                await self._bound.wait()

    def on_flow_lost(self, flow: Flow) -> None:
        """Remove the bindings that used a connection which is closed."""
        self._table.lost(flow.connection)

    def deadline(self) -> float | None:
        """Return None: expired bindings are skipped when they are read, and need no timer."""
        return None

    def elapse(self, now: float) -> None:
        """Remove the bindings that have expired at `now`."""
        self._table.elapse(now)

    def __len__(self) -> int:
        """Return the number of registered devices."""
        return len(self._table)

    def views(self) -> list[UserView]:
        """Return the state of each user, for REST and the page."""
        now = self._driver.now()
        return [
            UserView(
                name=name,
                registered=bool(contacts := self.contacts(name)),
                contacts=tuple(
                    ContactView(
                        uri=str(one.contact.uri),
                        transport=one.flow.transport,
                        address=f"{one.flow.host}:{one.flow.port}",
                        expires_s=max(round(one.expires_at - now), 0),
                        user_agent=one.user_agent,
                        behind_nat=one.behind_nat,
                        answers=not self.pulse.is_silent(one),
                    )
                    for one in contacts
                ),
            )
            for name in self.by_name
        ]
