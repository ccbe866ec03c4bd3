"""The side of the agent: the one that is not reached over a trunk."""

from pathlib import Path

import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.reports import LegAnswered
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.origin import Origin, Source
from softswitch.switch.supervision.sides import agent_ports, agent_side
from tests.switch.harness import House, settle


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def call(house: House, *, from_trunk: bool = False, to_trunk: bool | None = None) -> Conversation:
    """Return a call with a second party where it is said whether that is reached over a trunk."""
    source = Source(trunk="carrier" if from_trunk else "")
    conversation = await house.switch.open(None, "websocket", house.endpoint, Origin("shop", source=source))
    conversation.command(c.Invite(option=CallOption()))
    await settle()
    if to_trunk is not None:
        conversation.command(c.Refer(callee="+49"))
        leg = house.telephones.legs[-1]
        leg.report(LegAnswered(leg.request.leg, trunk="carrier" if to_trunk else ""))
    return conversation


@pytest.mark.parametrize(
    ("from_trunk", "to_trunk", "side"),
    [
        (False, None, "second"),
        (True, None, "second"),
        (True, False, "second"),
        (False, True, "first"),
        (False, False, "second"),
        (True, True, "second"),
    ],
)
async def test_agent_is_not_behind_a_trunk(
    house: House, from_trunk: bool, to_trunk: bool | None, side: str
) -> None:
    assert agent_side(await call(house, from_trunk=from_trunk, to_trunk=to_trunk), None) == side


async def test_bridged_call_counts_as_the_second_side(house: House) -> None:
    inside, outside = await call(house), await call(house, from_trunk=True)
    assert agent_side(inside, outside) == "first"
    assert agent_side(outside, inside) == "second"


async def test_ports_are_those_of_the_side(house: House) -> None:
    one, other = await call(house, to_trunk=False), await call(house)
    first = one.executor.legs.port("party")
    second, beside = one.executor.legs.port("second"), other.executor.legs.port("party")
    assert agent_ports(one, None, "first") == (first,)
    assert agent_ports(one, None, "second") == (second,)
    assert agent_ports(one, other, "second") == (second, beside)
    assert agent_ports(other, None, "second") == ()
