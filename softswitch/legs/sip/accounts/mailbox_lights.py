"""Lights of phones that tell of messages (RFC 3842): subscriptions, and NOTIFY without one."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from softswitch.legs.sip.accounts.identity import sip_uri
from softswitch.legs.sip.accounts.phones import Phones
from softswitch.legs.sip.addressing.own_addresses import OwnAddresses
from softswitch.legs.sip.driver import AgentDriver
from softswitch.log.tasks import Tasks
from softswitch.sip.agent import OutgoingRequest
from softswitch.sip.events import RequestReceived
from softswitch.sip.registrar.bindings import Binding
from softswitch.sip.subscriptions import CONTENT_TYPE, EVENT, summary_of

Count = Callable[[str], Awaitable[tuple[int, int]]]
"""Returns how many messages of a user are new, and how many were heard."""


async def _empty(user: str) -> tuple[int, int]:
    return 0, 0


class MailboxLights:
    """What phones are told of the messages of their users."""

    def __init__(self, driver: AgentDriver, phones: Phones, own: OwnAddresses, realm: str) -> None:
        """Begin without messages.

        Args:
            driver: Driver of the agent.
            phones: The registered devices.
            own: Addresses of the switch.
            realm: Domain in the URIs of mailboxes.
        """
        self._realm = realm
        self._driver, self._phones, self._own = driver, phones, own
        self._tasks = Tasks("legs", "mailboxes")
        self.count: Count = _empty
        """Set by what keeps the messages."""

    def subscribed(self, received: RequestReceived, user: str) -> None:
        """Accept the SUBSCRIBE of a user's phone, once the messages are counted."""
        self._tasks.spawn(self._accept(received, user), name="mailbox subscription")

    def registered(self, user: str, added: Sequence[Binding]) -> None:
        """Tell devices that have registered anew, where there are messages."""
        self._tasks.spawn(self._greet(user, added), name="mailbox light")

    def tell(self, user: str, new: int, old: int, registered: bool) -> None:
        """Tell the phones of a user of a change.

        Args:
            user: Name of the user.
            new: Messages that were not heard.
            old: Messages that were heard.
            registered: Whether all registered phones are told, besides those that subscribed.
        """
        body = summary_of(self._account(user), new, old)
        self._driver.agent.tell_mailbox(user, body, self._driver.now())
        for binding in self._phones.contacts(user) if registered else ():
            self._notify(binding, body)
        self._driver.pump()

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    async def _accept(self, received: RequestReceived, user: str) -> None:
        body = summary_of(self._account(user), *await self.count(user))
        self._driver.agent.accept_subscription(received.key, user, body, self._driver.now())
        self._driver.pump()

    async def _greet(self, user: str, added: Sequence[Binding]) -> None:
        new, old = await self.count(user)
        if new:
            for binding in added:
                self._notify(binding, summary_of(self._account(user), new, old))
            self._driver.pump()

    def _account(self, user: str) -> str:
        return str(sip_uri(user, self._realm))

    def _notify(self, binding: Binding, body: bytes) -> None:
        """Send a NOTIFY outside any dialog; what the phone answers changes nothing."""
        host, port = self._own.signalling(binding.flow.transport, binding.flow.host)
        flow = replace(binding.target, local_host=host, local_port=port)
        address = f"<{sip_uri(binding.aor, host)}>"
        uri, route = binding.route()
        request = OutgoingRequest(
            "NOTIFY",
            str(uri),
            from_=address,
            to=address,
            targets=(flow,),
            headers={"Event": EVENT, "Subscription-State": "active"},
            body=body,
            content_type=CONTENT_TYPE,
            route=route,
        )
        key = self._driver.agent.request(request, self._driver.now())
        self._driver.expect(key, lambda outcome: None)
