"""The SIP trace: messages find their call, and everything is bounded."""

import asyncio
from itertools import count

import pytest

from softswitch.legs.sip import trace as module
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.trace import SipTrace
from softswitch.sip import events as hp
from softswitch.sip.transaction.flow import Flow
from tests.legs.sip.phone import phone
from tests.legs.sip.rig import rig, settings

FLOW = Flow("udp", "192.0.2.1", 5060, 0, "192.0.2.9", 5060)


def made() -> tuple[SipTrace, SipCounters]:
    counters, seconds = SipCounters(), count(1)
    return SipTrace(counters, lambda: next(seconds)), counters


def message(call_id: str, method: str = "INVITE", size: int = 0) -> bytes:
    return f"{method} sip:a@b SIP/2.0\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\r\n{'x' * size}".encode()


def test_messages_before_and_after_the_call_is_known_are_its_own():
    trace, counters = made()
    trace.add(message("one"), FLOW, sent=False)
    trace.add(message("two"), FLOW, sent=False)
    assert trace.messages("call") == []
    trace.bind("one", "call")
    trace.bind("other-leg", "call")
    trace.add(message("other-leg"), FLOW, sent=True)
    trace.add(message("one", "BYE"), FLOW, sent=True)
    found = trace.messages("call")
    assert [(one.at, one.sent, one.text.split()[0]) for one in found] == [
        (1000, False, "INVITE"),
        (3000, True, "INVITE"),
        (4000, True, "BYE"),
    ]
    assert (found[0].transport, found[0].remote, found[0].local) == (
        "udp",
        "192.0.2.1:5060",
        "192.0.2.9:5060",
    )
    assert counters.traced == 4


def test_last_messages_come_after_the_end_and_everything_is_freed():
    trace, _ = made()
    trace.bind("one", "call")
    trace.add(message("one"), FLOW, sent=False)
    ended = trace.end("call")
    assert ended is not None
    assert trace.end("call") is None
    trace.add(message("one", "BYE"), FLOW, sent=True)
    trace.bind("next", "call")  # the id is used again
    trace.add(message("next"), FLOW, sent=True)
    assert len(trace.take(ended)) == 2
    assert len(trace.messages("call")) == 1
    again = trace.end("call")
    assert again is not None
    trace.take(again)
    assert trace.octets == 0


def test_calls_are_bounded_and_what_is_dropped_is_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CALL_MESSAGES", 3)
    monkeypatch.setattr(module, "CALL_BYTES", 1000)
    trace, counters = made()
    for name in ("many", "large"):
        trace.bind(name, name)
    for _ in range(5):
        trace.add(message("many"), FLOW, sent=False)
    for _ in range(2):
        trace.add(message("large", size=900), FLOW, sent=False)
    assert (len(trace.messages("many")), len(trace.messages("large"))) == (3, 1)
    assert counters.trace_dropped == 3


def test_messages_without_a_call_make_room_for_those_of_calls(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "UNKNOWN", 2)
    monkeypatch.setattr(module, "TOTAL_BYTES", 1000)
    trace, counters = made()
    for name in "abc":
        trace.add(message(name), FLOW, sent=False)
    trace.bind("a", "first")
    trace.bind("c", "third")
    assert [len(trace.messages(name)) for name in ("first", "third")] == [0, 1]
    trace.add(message("d", size=700), FLOW, sent=False)
    trace.add(message("c", size=700), FLOW, sent=False)  # drops that of d
    assert len(trace.messages("third")) == 2
    trace.add(message("c", size=700), FLOW, sent=False)
    assert counters.trace_dropped == 1
    assert trace.octets <= 1000


def test_long_message_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST_SHOWN", 100)
    trace, _ = made()
    trace.bind("a", "call")
    trace.add(message("a", size=500), FLOW, sent=False)
    assert trace.messages("call")[0].text.endswith("more octets")


async def test_call_that_comes_in_is_traced_from_invite_to_bye():
    async with rig(settings({"trace": True})) as here, phone() as caller:
        session = caller.invite(here.port)
        await caller.until(hp.Answered)
        party = await here.called()
        caller.do("bye", session)
        async with asyncio.timeout(20):
            while not party.leg.is_over:
                await asyncio.sleep(0.01)
        trace = here.endpoints.trace
        assert trace is not None
        ended = trace.end("c")
        assert ended is not None
        found = [(one.sent, one.text.partition("\r\n")[0].split(" sip:")[0]) for one in trace.take(ended)]
    assert found[0] == (False, "INVITE")
    assert (True, "SIP/2.0 200 OK") in found
    assert [what for what in found if what[1] in ("ACK", "BYE")] == [(False, "ACK"), (False, "BYE")]


async def test_call_that_is_placed_is_traced_and_nothing_is_kept_where_it_is_off():
    for is_on in (True, False):
        async with rig(settings({"trace": is_on})) as here, phone() as callee:
            party = here.dial(f"sip:phone@127.0.0.1:{callee.port}")
            await callee.until(hp.Invited)
            trace = here.endpoints.trace
            assert (trace is not None) == is_on
            if trace is not None:
                assert trace.messages("c")[0].text.startswith("INVITE sip:phone@127.0.0.1")
            party.leg.hangup()
            await party.leg.closed()
