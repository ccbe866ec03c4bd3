"""Several callees that ring together."""

import pytest

from softswitch.call.forking import ELSEWHERE, Fork, is_better
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from tests.call.harness import Harness


def ringing(*callees: str, timeout_s: float = 60.0) -> Harness:
    """Return a call whose caller waits for several callees."""
    harness = Harness(kind="sip")
    harness.call.incoming("alice", "100", "v=0", {}, harness.now)
    further = tuple(c.Connect(callee=callee, trunk="t") for callee in callees[1:])
    harness.command(c.Connect(callee=callees[0], further=further, strategy="parallel", timeout_s=timeout_s))
    return harness


def closed(harness: Harness) -> dict[str, tuple[str, dict[str, str]]]:
    return {one.leg: (one.reason, one.headers) for one in harness.effects_of(effects.CloseLeg)}


def test_all_ring_together_and_none_is_heard_before_its_answer() -> None:
    opened = ringing("bob", "carol", "dave").effects_of(effects.OpenLeg)
    assert [(one.leg, one.callee, one.trunk, one.early_media) for one in opened] == [
        ("second", "bob", "", False),
        ("second-2", "carol", "t", False),
        ("second-3", "dave", "t", False),
    ]
    assert {one.ring_s for one in opened} == {60.0}


def test_caller_is_alerted_once() -> None:
    harness = ringing("bob", "carol")
    harness.report(reports.LegRinging("second-2"), reports.LegRinging("second", early_media=True))
    assert [(one.leg, one.early_media) for one in harness.effects_of(effects.RingLeg)] == [("party", False)]
    assert len(harness.emitted(events.Ringing)) == 1


def test_first_answer_wins_and_the_others_are_told_that_it_was_elsewhere() -> None:
    harness = ringing("bob", "carol", "dave")
    harness.report(reports.LegRejected("second-3", 486, "Busy Here"))
    harness.report(reports.LegAnswered("second-2", codec="opus"), reports.LegAnswered("second"))
    assert closed(harness) == {"second-3": ("busy", {}), "second": ("answered_elsewhere", ELSEWHERE)}
    assert harness.effects_of(effects.OpenLeg)[-1].leg == "party", "the caller is answered"
    harness.report(reports.LegAnswered("party"))
    harness.wait(120.0)
    assert not harness.emitted(events.HungUp), "the time to ring is over with the answer"
    harness.report(reports.LegEnded("second-2", "callee", "callee"))
    assert harness.emitted(events.HungUp)[0].initiator == "callee"


def test_refusal_for_all_ends_the_others() -> None:
    harness = ringing("bob", "carol")
    harness.report(reports.LegRejected("second", 603, "Decline", from_peer=True))
    assert closed(harness)["second-2"] == ("rejected", {"Reason": "SIP;cause=603"})
    assert harness.effects_of(effects.RejectLeg)[0].code == 603


@pytest.mark.parametrize(("codes", "told"), [((480, 486), 486), ((404, 486), 404), ((302, 503), 480)])
def test_caller_gets_the_best_refusal_of_all(codes: tuple[int, int], told: int) -> None:
    harness = ringing("bob", "carol")
    harness.report(reports.LegRejected("second", codes[0], "First", from_peer=True))
    assert not harness.emitted(events.HungUp)
    harness.report(reports.LegRejected("second-2", codes[1], "Second", from_peer=True))
    assert harness.effects_of(effects.RejectLeg)[0].code == told


def test_ringing_of_all_has_one_end() -> None:
    harness = ringing("bob", "carol", timeout_s=20.0)
    harness.report(reports.LegFailed("second", "sip", "no route", 503))
    harness.wait(19.0)
    assert not harness.emitted(events.HungUp)
    harness.wait(2.0)
    assert closed(harness)["second-2"] == ("no_answer", {})
    assert harness.effects_of(effects.RejectLeg)[0].code == 480
    assert harness.emitted(events.HungUp)[0].reason == "no_answer"


def test_caller_who_gives_up_cancels_all() -> None:
    harness = ringing("bob", "carol")
    harness.report(reports.LegEnded("party", "caller", "caller"))
    assert set(closed(harness)) == {"second", "second-2", "party"}
    assert harness.call.deadline() is None


def test_hang_up_of_the_application_cancels_all_with_its_headers() -> None:
    harness = ringing("bob", "carol")
    harness.command(c.Hangup(headers={"X-Why": "closed"}))
    assert closed(harness)["second-2"][1] == {"X-Why": "closed"}


def test_one_callee_needs_no_fork() -> None:
    harness = ringing("bob")
    harness.report(reports.LegRinging("second", early_media=True))
    assert harness.effects_of(effects.RingLeg)[0].early_media


@pytest.mark.parametrize(
    ("code", "known", "better"),
    [
        (404, 0, True),
        (486, 404, False),
        (404, 480, True),
        (603, 404, True),
        (404, 603, False),
        (480, 486, False),
    ],
)
def test_better_refusal(code: int, known: int, better: bool) -> None:
    assert is_better(code, known) is better


def test_fork_keeps_the_best_refusal() -> None:
    fork: Fork[int] = Fork(1.0, {"a": 1, "b": 2})
    assert not fork.refused("a", 486, "Busy", from_peer=True)
    assert fork.refused("b", 480, "", from_peer=False)
    assert fork.refusal == (486, "Busy", True)
