"""The table of calls: what ended calls leave behind, and calls beyond the limit."""

import gc
from dataclasses import dataclass

import pytest

from softswitch.sip.agent import AgentLimits
from softswitch.sip.dialog.exchange import Exchange
from softswitch.sip.events import Invited, Rejected
from softswitch.sip.session.session import Session
from softswitch.sip.session.state import SessionState
from softswitch.sip.syntax.message import Response
from tests.sip.forgery import accept
from tests.sip.link import ANSWER, HELD, HOLD, Link, talking


@dataclass
class Census:
    """Objects of calls that are alive."""

    before: set[int]

    @classmethod
    def now(cls) -> "Census":
        return cls({id(one) for one in cls.alive()})

    @staticmethod
    def alive() -> list[object]:
        return [one for one in gc.get_objects() if isinstance(one, Session | SessionState | Exchange)]

    def left(self) -> list[object]:
        return [one for one in self.alive() if id(one) not in self.before]


@pytest.fixture
def _no_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize("ending", ["bye", "cancel", "reject", "offer"])
def test_ended_calls_need_no_garbage_collection(ending):
    census = Census.now()
    if ending in ("bye", "offer"):
        link, anna, bert, annas, berts = talking()
        if ending == "offer":
            accept(bert, HELD)
            anna.agent.reinvite(annas, HOLD, link.now)
            link.run()
        assert census.left()
        anna.agent.bye(annas, link.now)
    else:
        link = Link("anna", "bert")
        anna, bert = link["anna"], link["bert"]
        annas = anna.call(bert)
        link.run()
        berts = bert.the(Invited).session
        assert census.left()
        if ending == "cancel":
            anna.agent.bye(annas, link.now)
        else:
            bert.agent.reject(berts, 486, link.now)
    link.run(0.3)
    assert anna.agent.sessions == bert.agent.sessions == ()
    kept = [one for one in census.left() if isinstance(one, Session | SessionState)]
    assert kept == []
    link.run(40)
    assert census.left() == []


@pytest.mark.usefixtures("_no_collection")
def test_late_2xx_is_acknowledged_after_its_session_was_freed():
    census = Census.now()
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    annas = anna.call(bert)
    link.run()
    bert.agent.answer(bert.the(Invited).session, ANSWER, link.now)
    link.run()
    accepted = next(sent for _, _, sent in link.sent if isinstance(sent, Response) and sent.code == 200)
    anna.agent.bye(annas, link.now)
    link.run(1)
    assert [one for one in census.left() if isinstance(one, Session | SessionState)] == []
    link.sent.clear()
    anna.inject(bytes(accepted), bert)
    link.run()
    assert link.flows() == ["anna>bert ACK"]


def test_call_beyond_the_limit_ends_with_a_local_503():
    link = Link("anna", "bert", limits=AgentLimits(sessions=1))
    anna, bert = link["anna"], link["bert"]
    anna.call(bert)
    second = anna.call(bert)
    link.run()
    rejected = anna.the(Rejected)
    assert (rejected.session, rejected.code, rejected.local) == (second, 503, True)
    bert.agent.answer(bert.the(Invited).session, ANSWER, link.now)
    link.run()
    assert len(anna.agent.sessions) == 1
