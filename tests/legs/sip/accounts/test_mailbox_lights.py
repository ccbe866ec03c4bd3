"""What phones are told of messages: those that subscribe, those that register, all after a change."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from sipmessage import Address

from softswitch.legs.sip.accounts.mailbox_lights import MailboxLights
from softswitch.legs.sip.accounts.phones import Phones
from softswitch.legs.sip.addressing.own_addresses import OwnAddresses
from softswitch.legs.sip.driver import AgentDriver
from softswitch.sip.agent import Flow, OutgoingRequest
from softswitch.sip.events import RequestReceived
from softswitch.sip.registrar.bindings import Binding
from softswitch.sip.subscriptions import summary_of

FLOW = Flow("udp", "192.0.2.9", 5060, 0, "192.0.2.1", 5060)
PHONE = Binding("anna", Address.parse("<sip:anna@192.0.2.9>"), FLOW, FLOW, "c", 1, 2000.0, 1000.0)
SUBSCRIBE = cast(RequestReceived, SimpleNamespace(key="k"))


class Agent:
    """Remembers what it is to send; also the driver and the table of phones."""

    def __init__(self) -> None:
        self.accepted: list[tuple[str, str, bytes]] = []
        self.told: list[tuple[str, bytes]] = []
        self.requests: list[OutgoingRequest] = []
        self.agent = self

    def accept_subscription(self, key: str, mailbox: str, body: bytes, now: float) -> None:
        self.accepted.append((key, mailbox, body))

    def tell_mailbox(self, mailbox: str, body: bytes, now: float) -> None:
        self.told.append((mailbox, body))

    def request(self, request: OutgoingRequest, now: float) -> str:
        self.requests.append(request)
        return "r"

    def now(self) -> float:
        return 1000.0

    def expect(self, key: str, outcome: Any) -> None:
        outcome(None)

    def pump(self) -> None:
        pass

    def contacts(self, user: str) -> list[Binding]:
        return [PHONE] if user == "anna" else []

    def signalling(self, transport: str, remote: str) -> tuple[str, int]:
        return "192.0.2.1", 5060


def lights(new: int, old: int) -> tuple[Agent, MailboxLights]:
    agent = Agent()
    made = MailboxLights(
        cast(AgentDriver, agent), cast(Phones, agent), cast(OwnAddresses, agent), "example.org"
    )

    async def count(user: str) -> tuple[int, int]:
        return new, old

    made.count = count
    return agent, made


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_subscription_is_accepted_with_the_count() -> None:
    agent, made = lights(2, 1)
    made.subscribed(SUBSCRIBE, "anna")
    await settle()
    assert agent.accepted == [("k", "anna", summary_of("sip:anna@example.org", 2, 1))]
    await made.stop()


async def test_phone_that_registers_is_told_of_new_messages_alone() -> None:
    agent, made = lights(0, 3)
    made.registered("anna", [PHONE])
    await settle()
    assert agent.requests == []
    agent, made = lights(1, 0)
    made.registered("anna", [PHONE])
    await settle()
    (notify,) = agent.requests
    assert (notify.method, notify.uri, notify.targets[0].host) == (
        "NOTIFY",
        "sip:anna@192.0.2.9",
        "192.0.2.9",
    )
    assert notify.body == summary_of("sip:anna@example.org", 1, 0)
    assert notify.headers["Event"] == "message-summary"


async def test_change_is_told_to_subscribers_and_registered_phones() -> None:
    agent, made = lights(0, 0)
    made.tell("anna", 1, 0, True)
    made.tell("bert", 1, 0, True)
    made.tell("anna", 0, 1, False)
    assert [mailbox for mailbox, _ in agent.told] == ["anna", "bert", "anna"]
    assert [one.uri for one in agent.requests] == ["sip:anna@192.0.2.9"]
