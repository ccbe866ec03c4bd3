"""The bus of a worker whose supervisor is slow, silent or gone."""

import asyncio

import pytest

from softswitch.bus import hub_bus
from softswitch.bus.bus import BusError
from softswitch.bus.frames import Frame, pack, unpack
from softswitch.bus.hub_bus import HubBus
from tests.bus.buses import Hubs


@pytest.fixture
def sent():
    return []


async def test_a_question_without_an_answer_fails_in_time(sent, monkeypatch):
    monkeypatch.setattr(hub_bus, "ANSWER_S", 0.0)
    bus = HubBus("a.1", lambda data: sent.append(data) or True)
    with pytest.raises(BusError, match="in time"):
        await bus.request("a.2", b"", 0.0)
    assert unpack(sent[0]).kind == "ask"


async def test_what_the_supervisor_does_not_take_fails_at_once():
    with pytest.raises(BusError, match="does not take"):
        await HubBus("a.1", lambda data: False).get("call:a")


async def test_questions_are_bounded(monkeypatch):
    monkeypatch.setattr(hub_bus, "MOST_WAITING", 1)
    bus = HubBus("a.1", lambda data: True)
    waiting = asyncio.ensure_future(bus.get("call:a"))
    await asyncio.sleep(0)
    with pytest.raises(BusError, match="too many"):
        await bus.get("call:b")
    bus.close()
    with pytest.raises(BusError, match="gone"):
        await waiting


async def test_an_answer_that_comes_late_is_ignored():
    bus = HubBus("a.1", lambda data: True)
    bus.receive(pack(Frame("done", 77, number=1)))
    bus.receive(b"nonsense")


async def test_frames_of_the_supervisor_are_passed_on():
    seen = []
    bus = HubBus("a.1", lambda data: True, lambda frame: seen.append(frame.kind))
    bus.receive(pack(Frame("retire")))
    assert seen == ["retire"]


async def test_nodes_that_were_lost_before_are_told_later():
    bus = HubBus("a.1", lambda data: True)
    bus.receive(pack(Frame("lost", node="a.9")))
    seen: list[str] = []
    bus.on_lost(seen.append)
    assert seen == ["a.9"]


async def test_a_request_that_fails_at_the_other_node_fails_here():
    world = Hubs()
    one, two = await world.join("a.1"), await world.join("a.2")

    async def fail(data, node):
        raise ValueError("no")

    two.serve(fail)
    with pytest.raises(BusError):
        await one.request("a.2", b"?")
