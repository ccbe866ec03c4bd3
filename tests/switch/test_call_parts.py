"""Parts of calls: stored once the last SIP messages have come."""

import pytest

from softswitch.call.authority import OPERATOR
from softswitch.call.vocabulary import commands as c
from softswitch.media.reports import PortQuality
from softswitch.sip.trace import SipMessage
from softswitch.store.call_parts import SIP, decode
from softswitch.store.quality import LegQuality
from softswitch.switch import call_parts
from softswitch.switch.directory import CallDirectory
from softswitch.switch.origin import Source
from tests.switch.harness import House, settle
from tests.switch.test_switch import house, up  # noqa: F401

BYE = SipMessage(at=1, sent=True, transport="udp", remote="a:1", local="b:2", text="BYE")


async def test_trace_is_stored_after_the_end_and_clients_wait_for_it(
    house: House,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call_parts, "SETTLE_S", 0.0)
    calls = CallDirectory(house.switch)
    conversation = await up(house)
    conversation.owner = "me"
    house.telephones.traces["a"] = lambda: [BYE]
    assert await calls.sip_messages("a", OPERATOR) == []
    conversation.command(c.Hangup())
    await conversation.released.wait()
    await calls.parts_stored("a")
    assert await calls.sip_messages("a", OPERATOR) is None
    (part,) = house.store.parts
    assert (part.call_id, part.part, part.account, part.created_at) == (
        "a",
        SIP,
        "me",
        conversation.created_ms,
    )
    assert decode(part.body, list[SipMessage]) == [BYE]


async def test_call_without_a_trace_has_no_parts(house: House) -> None:  # noqa: F811
    conversation = await up(house)
    conversation.command(c.Hangup())
    await conversation.released.wait()
    assert await CallDirectory(house.switch).sip_messages("a", OPERATOR) is None
    assert house.store.parts == []


async def test_quality_of_a_leg_is_shown_stored_and_counted_for_its_trunk(house: House) -> None:  # noqa: F811
    calls = CallDirectory(house.switch)
    conversation = await up(house)
    conversation.source = Source(trunk="carrier")
    (port,) = conversation.executor.legs.ports()
    house.report(
        PortQuality(
            port, 1.0, codec="PCMU", loss=0.5, far_loss=0.0, jitter_ms=4.0, delay_ms=30.0, round_trip_ms=60.0
        )
    )
    live = await calls.quality("a", OPERATOR)
    assert live is not None
    assert (live[0].leg, live[0].loss_percent, live[0].codecs[0].value) == ("party", (50.0,), "PCMU")
    assert await calls.quality("b", OPERATOR) is None
    conversation.command(c.Hangup())
    await conversation.released.wait()
    await settle()
    (part,) = house.store.parts
    assert decode(part.body, list[LegQuality]) == live
    assert [trunk.name for trunk in house.resources.trunks.recent()] == ["carrier"]
