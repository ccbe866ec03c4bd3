"""The table of supervisions: who may, which ports hear the supervisor, and what follows when calls change."""

from pathlib import Path

import pytest

from softswitch.call.authority import Principal
from softswitch.call.state import State
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.media import messages as m
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.origin import Origin, Source
from tests.switch.harness import House, settle

SHOP = Principal("shop", frozenset({"call", "supervise"}), "anna")
ROOT = Principal("root", frozenset({"admin", "call", "supervise"}), "root")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, supervisors_per_call=2)


async def up(house: House, name: str, owner: str = "shop", callee: str = "", **source: str) -> Conversation:
    origin = Origin(owner, source=Source(**source))
    conversation = await house.switch.open(name, "websocket", house.endpoint, origin)
    conversation.command(c.Invite(option=CallOption(callee=callee)))
    await settle()
    return conversation


async def talking(house: House, name: str = "x", **source: str) -> Conversation:
    """Return a call with a second party, whose legs have the endpoints -2 and -1 of the house."""
    return await up(house, name, callee="echo", **source)


def ports(house: House) -> tuple[int, int]:
    first, second = house.endpoints[-2:]
    return first.request.port, second.request.port


def joined(house: House, port: int) -> m.JoinMix:
    return [message for message in house.engine.told(m.JoinMix) if message.port == port][-1]


async def test_modes_are_audiences_in_the_mix_of_the_call(house: House) -> None:
    call = await talking(house)
    _, agent = ports(house)
    boss = await up(house, "boss")
    port, mix = house.endpoints[-1].request.port, call.executor.mix
    for mode, audience in (("listen", ()), ("whisper", (agent,)), ("join", None)):
        boss.order(c.Supervise(other="x", mode=mode), SHOP)  # type: ignore[arg-type]
        assert joined(house, port) == m.JoinMix(port, mix, audience)
    assert [(one.id, one.mode) for one in house.switch.supervisions.of("x")] == [("boss", "join")]
    boss.order(c.Supervise(mode="stop"), SHOP)
    assert joined(house, port) == m.JoinMix(port, boss.executor.mix)
    assert len(house.switch.supervisions) == 0
    assert not call.over


async def test_what_is_foreign_is_not_there(house: House) -> None:
    await talking(house)
    for by, code in (
        (Principal("other", frozenset({"call", "supervise"})), 404),
        (Principal("other", frozenset({"call"})), 403),
    ):
        boss = await up(house, f"boss-{code}", "other")
        if code == 403:
            with pytest.raises(CommandRejected) as rejected:
                boss.order(c.Supervise(other="x"), by)
            assert rejected.value.code == 403
        else:
            boss.order(c.Supervise(other="x"), by)
        refused = house.switch.supervisions.refuse_callee("supervise:x", by)
        assert refused is not None
        assert refused[0] == code
        assert not boss.call.supervises
    assert house.switch.supervisions.refuse_callee("supervise:x", ROOT) is None
    assert house.switch.supervisions.refuse_callee("echo", SHOP) is None
    assert [one.value for one in house.switch.supervisions.figures() if "refused" in one.name] == [1]


async def test_call_is_supervised_by_so_many(house: House) -> None:
    await talking(house)
    for number in range(3):
        boss = await up(house, f"boss-{number}")
        boss.order(c.Supervise(other="x"), SHOP)
        assert boss.call.supervises == (number < 2)


async def test_supervisors_and_calls_that_are_not_up_are_not_supervised(house: House) -> None:
    await talking(house)
    boss = await up(house, "boss")
    boss.order(c.Supervise(other="x"), SHOP)
    await house.switch.open("new", "websocket", house.endpoint, Origin("shop"))
    find = house.switch.supervisions.find
    assert find("x", SHOP) is not None
    assert (find("boss", SHOP), find("new", SHOP), find("gone", SHOP)) == (None, None, None)


async def test_user_stands_for_the_latest_call(house: House) -> None:
    await talking(house, "one", user="anna")
    await talking(house, "two", user="anna")
    found = house.switch.supervisions.find("anna", SHOP)
    assert found is not None
    assert found.id == "two"


async def test_supervisor_follows_the_call_into_a_bridge(house: House) -> None:
    call = await up(house, "x")
    other = await up(house, "y")
    agent = house.endpoints[-1].request.port
    boss = await up(house, "boss")
    port = house.endpoints[-1].request.port
    with_agent = c.Supervise(other="x", mode="whisper")
    boss.order(with_agent, SHOP)
    assert not boss.call.supervises, "there is no agent yet"
    boss.order(c.Supervise(other="x"), SHOP)
    other.order(c.Bridge(other="x"), SHOP)
    assert joined(house, port) == m.JoinMix(port, other.executor.mix, ())
    boss.order(c.Supervise(mode="whisper"), SHOP)
    assert joined(house, port) == m.JoinMix(port, other.executor.mix, (agent,))
    other.order(c.Unbridge(), SHOP)
    assert joined(house, port) == m.JoinMix(port, call.executor.mix, ())


async def test_take_over_ends_the_agents_leg(house: House) -> None:
    call = await talking(house)
    customer, agent = house.endpoints[-2:]
    boss = await up(house, "boss")
    port = house.endpoints[-1].request.port
    boss.order(c.Supervise(other="x"), SHOP)
    boss.order(c.Supervise(mode="take_over"), SHOP)
    assert agent.hung_up
    assert not customer.hung_up
    assert (call.bridged_with, boss.bridged_with) == ("boss", "x")
    assert joined(house, port) == m.JoinMix(port, boss.executor.mix)
    assert joined(house, customer.request.port).mix == boss.executor.mix
    assert len(house.switch.supervisions) == 0
    assert call.on_settled is None


async def test_take_over_of_the_first_party_leaves_the_second(house: House) -> None:
    call = await talking(house)
    agent, customer = house.endpoints[-2:]
    boss = await up(house, "boss")
    boss.order(c.Supervise(other="x", mode="take_over", side="first"), SHOP)
    assert agent.hung_up
    assert not customer.hung_up
    assert call.call.party == "second"
    assert call.bridged_with == "boss"


async def test_take_over_of_a_bridged_agent_parts_the_bridge(house: House) -> None:
    call, other = await up(house, "x"), await up(house, "y")
    call.order(c.Bridge(other="y"), SHOP)
    boss = await up(house, "boss")
    boss.order(c.Supervise(other="x", mode="take_over"), SHOP)
    assert (call.bridged_with, other.bridged_with) == ("boss", None)
    second = await up(house, "boss-2")
    other.order(c.Bridge(other="boss-2"), SHOP)
    third = await up(house, "boss-3")
    third.order(c.Supervise(other="y", mode="take_over", side="first"), SHOP)
    assert (other.bridged_with, second.bridged_with) == (None, "boss-3")


async def test_first_party_alone_has_no_agent_to_be_taken_over(house: House) -> None:
    await up(house, "x")
    boss = await up(house, "boss")
    boss.order(c.Supervise(other="x", mode="take_over", side="first"), SHOP)
    assert not boss.call.supervises
    assert boss.bridged_with is None
    boss.order(c.Supervise(other="x", mode="take_over"), SHOP)
    assert boss.bridged_with == "x", "a machine spoke on the agent's side"


async def test_end_of_either_call_ends_the_supervision(house: House) -> None:
    call = await talking(house)
    boss = await up(house, "boss")
    boss.order(c.Supervise(other="x"), SHOP)
    boss.end("killed", "system")
    assert len(house.switch.supervisions) == 0
    assert call.on_settled is None
    boss = await up(house, "boss-2")
    port = house.endpoints[-1].request.port
    boss.order(c.Supervise(other="x"), SHOP)
    call.end("killed", "system")
    assert not boss.call.supervises
    assert boss.call.state is State.UP
    assert joined(house, port) == m.JoinMix(port, boss.executor.mix)


async def test_rule_of_the_settings_supervises_for_its_account(house: House) -> None:
    await talking(house)
    for owner, found in (("shop", True), ("", True), ("other", False)):
        boss = await up(house, f"boss-{owner}", owner)
        boss.command(c.Supervise(other="x"))
        assert boss.call.supervises == found
        boss.end("killed", "system")


async def test_supervision_is_written_down(house: House) -> None:
    await talking(house)
    boss = await up(house, "boss")
    boss.order(c.Supervise(other="x"), SHOP)
    boss.order(c.Supervise(mode="join"), SHOP)
    first, second = house.store.audits
    assert (first.who, first.action, first.name, first.before_json) == ("anna", "supervise", "x", "")
    assert second.before_json == '{"mode":"listen"}'
    assert second.after_json == '{"mode":"join","call":"boss"}'


async def test_leg_of_the_agent_that_leaves_hears_no_whisper(house: House) -> None:
    await talking(house)
    agent = house.endpoints[-1]
    boss = await up(house, "boss")
    port = house.endpoints[-1].request.port
    boss.order(c.Supervise(other="x", mode="whisper"), SHOP)
    call = house.switch.find("x")
    assert call is not None
    call.order(c.Hangup(refer=True), SHOP)
    assert agent.hung_up
    assert joined(house, port).audience == ()
    agent.report(r.LegEnded(agent.request.leg))
