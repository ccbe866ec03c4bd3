"""What the workers of one switch share of their SIP accounts: registrations, failed logins, trunks, rates."""

import logging
from collections.abc import Callable

import msgspec
from sipmessage import Address

from softswitch.legs.sip.accounts.phones import Phones
from softswitch.legs.sip.accounts.trunk import Trunk
from softswitch.legs.sip.accounts.trunks import Trunks
from softswitch.legs.sip.driver import AgentDriver
from softswitch.sip.registrar.bindings import Binding
from softswitch.sip.security.guard import Guard
from softswitch.sip.transaction.flow import Flow

logger = logging.getLogger(__name__)

PAGE_BYTES = 48_000
"""Octets of registrations in one message."""


class Registered(msgspec.Struct, frozen=True, array_like=True):
    """One contact of a user, as nodes tell each other."""

    contact: str
    flow: Flow
    target: Flow
    call_id: str
    cseq: int
    expires_s: float
    """Remaining lifetime, in seconds."""
    user_agent: str = ""
    path: tuple[str, ...] = ()


class OfUser(msgspec.Struct, frozen=True, array_like=True):
    """All contacts of a user; none: the user has unregistered."""

    name: str
    contacts: tuple[Registered, ...] = ()


class SharedAccounts:
    """The accounts of this worker, as it shares them with the others."""

    def __init__(self, phones: Phones, trunks: Trunks, guard: Guard, driver: AgentDriver) -> None:
        """Share accounts; `on_registered` and `on_failed_login` are set by what tells the others."""
        self._phones = phones
        self._trunks = trunks
        self._guard = guard
        self._driver = driver
        self.on_registered: Callable[[bytes], None] = lambda data: None
        """Gets the registrations of a user that have changed here."""
        self.on_failed_login: Callable[[str], None] = lambda host: None
        """Gets the address of each failed login here."""

    def begin(self) -> None:
        """Begin to tell; trunks are registered by the worker that holds their lease only."""
        self._phones.on_registered = lambda name: self.on_registered(msgspec.msgpack.encode([self._of(name)]))
        self._guard.on_failed = self.on_failed_login
        for trunk in self._trunks:
            trunk.hold(held=False)

    # --- registrations ------------------------------------------------------------------------

    def learn(self, data: bytes, *, machine: str) -> None:
        """Take over the registrations of users from another node.

        Args:
            data: The registrations.
            machine: Name of its machine; empty: it is this one, so that its connections can be used.
        """
        now = self._driver.now()
        try:
            users = msgspec.msgpack.decode(data, type=list[OfUser])
            for user in users:
                bindings = [_binding(user.name, one, now) for one in user.contacts]
                if machine:
                    self._phones.replace_far(user.name, machine, bindings)
                else:
                    self._phones.replace(user.name, bindings)
        except (msgspec.MsgspecError, ValueError):
            logger.exception("registrations of another node cannot be read")

    def page(self, after: str) -> tuple[bytes, str]:
        """Return registrations of users behind a name, and the last name; "": these were the last."""
        users: list[OfUser] = []
        size = 0
        last = ""
        for name in sorted(self._phones.registered_names()):
            if name <= after:
                continue
            user = self._of(name)
            size += len(msgspec.msgpack.encode(user))
            if users and size > PAGE_BYTES:
                break
            users.append(user)
            last = name
        return msgspec.msgpack.encode(users), last

    def keep_alive(self, keeps: Callable[[str], bool]) -> None:
        """Set which users' phones get keep-alives from this worker."""
        self._phones.keeps = keeps

    def _of(self, name: str) -> OfUser:
        now = self._driver.now()
        return OfUser(
            name,
            tuple(
                Registered(
                    str(one.contact),
                    one.flow,
                    one.target,
                    one.call_id,
                    one.cseq,
                    one.expires_at - now,
                    one.user_agent,
                    tuple(str(proxy) for proxy in one.path),
                )
                for one in self._phones.bindings(name)
            ),
        )

    # --- trunks, logins and rates -------------------------------------------------------------

    def registering_trunks(self) -> list[str]:
        """Return the names of the trunks that the switch registers at."""
        return [trunk.name for trunk in self._trunks if trunk.settings.register]

    def hold_trunk(self, name: str, *, held: bool) -> None:
        """Register at a trunk from now on, or leave that to another worker."""
        trunk = self._trunks.get(name)
        if trunk is not None:
            trunk.hold(held=held)

    def limit_trunks(self, elsewhere: Callable[[str], int], share: Callable[[], float]) -> None:
        """Have the limits of trunks hold for all nodes together.

        Args:
            elsewhere: Returns how many calls a trunk has on other nodes.
            share: Returns the share of this node in rates, 0 to 1.
        """

        def join(trunk: Trunk) -> None:
            trunk.share_limits(elsewhere, share)

        def join_later(trunk: Trunk) -> None:
            join(trunk)
            trunk.hold(held=False)  # until this node has its lease

        for trunk in self._trunks:
            join(trunk)
        self._trunks.on_new = join_later

    def login_failed(self, host: str) -> None:
        """Count a failed login at another node."""
        self._guard.failed(host, self._driver.now(), told=True)


def _binding(name: str, one: Registered, now: float) -> Binding:
    return Binding(
        aor=name,
        contact=Address.parse(one.contact),
        flow=one.flow,
        target=one.target,
        call_id=one.call_id,
        cseq=one.cseq,
        expires_at=now + one.expires_s,
        updated_at=now,
        user_agent=one.user_agent,
        path=tuple(Address.parse(proxy) for proxy in one.path),
    )
