"""The users of the settings and where their devices are: a registrar (RFC 3261 section 10)."""

from collections.abc import Callable, Sequence

from softswitch.endpoints.sip.driver import AgentDriver
from softswitch.endpoints.sip.views import ContactView, UserView
from softswitch.settings import Sip, User
from softswitch.sip.bindings import Binding, Bindings
from softswitch.sip.flow import Flow
from softswitch.sip.happenings import RequestReceived


class Phones:
    """Answers REGISTER, and knows how to reach whoever did."""

    def __init__(
        self, users: Sequence[User], sip: Sip, driver: AgentDriver, is_open: Callable[[Flow], bool]
    ) -> None:
        """Begin with nobody registered.

        Args:
            users: who may register.
            sip: bounds of registrations.
            driver: of the agent that answers.
            is_open: whether a message can still be sent by a flow.
        """
        self.by_name = {user.name: user for user in users}
        self._driver = driver
        self._is_open = is_open
        self._most = sip.max_contacts
        self._table = Bindings(
            default_expires=sip.register_expires,
            min_expires=sip.register_min_expires,
            max_expires=sip.register_expires,
        )

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a user, registered or not."""
        return name in self.by_name

    def user(self, name: str) -> User | None:
        """Return a user by name."""
        return self.by_name.get(name)

    def register(self, received: RequestReceived, name: str) -> None:
        """Answer the REGISTER of a user who has proved to be one."""
        now = self._driver.now()
        most = min(self.by_name[name].max_contacts, self._most)
        outcome = self._table.update(name, received.request, received.flow, now, max_contacts=most)
        self._driver.agent.respond(
            received.key,
            outcome.code,
            now,
            reason=outcome.reason,
            headers={key: value for key, value in outcome.headers if key != "Contact"},
            contacts=tuple(value for key, value in outcome.headers if key == "Contact"),
        )

    def contacts(self, name: str) -> list[Binding]:
        """Return where a user can be reached, the most wanted first."""
        return [
            binding
            for binding in self._table.contacts(name, self._driver.now())
            if self._is_open(binding.flow)
        ]

    def is_from_device(self, host: str) -> bool:
        """Tell whether somebody is registered from an address."""
        everyone = self._table.everyone(self._driver.now()).values()
        return any(binding.flow.host == host for bindings in everyone for binding in bindings)

    def lost(self, flow: Flow) -> None:
        """Forget who was reached by a connection that is gone."""
        self._table.lost(flow.connection)

    def deadline(self) -> float | None:
        """Return None: bindings that have expired harm nobody until they are looked at."""
        return None

    def elapse(self, now: float) -> None:
        """Forget the bindings whose time is over."""
        self._table.elapse(now)

    def __len__(self) -> int:
        """Return how many devices are registered."""
        return len(self._table)

    def views(self) -> list[UserView]:
        """Return the state of each user."""
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
                    )
                    for one in contacts
                ),
            )
            for name in self.by_name
        ]
