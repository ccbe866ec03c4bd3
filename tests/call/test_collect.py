"""Gathering digits."""

import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.rejection import CommandRejected
from tests.call.harness import Harness


@pytest.fixture
def harness() -> Harness:
    return Harness(CallOption())


def press(harness: Harness, digits: str) -> None:
    for digit in digits:
        harness.report(reports.DigitReceived("party", 100.0, digit))


def result(harness: Harness) -> tuple[str, str]:
    collected = harness.emitted(events.Collected)
    assert len(collected) == 1
    return collected[0].digits, collected[0].reason


def test_maximum_completes(harness: Harness) -> None:
    harness.command(c.Collect(max_digits=3))
    press(harness, "159")
    assert result(harness) == ("159", "complete")
    assert [dtmf.digit for dtmf in harness.emitted(events.Dtmf)] == ["1", "5", "9"]


def test_terminator_ends_and_is_not_a_digit(harness: Harness) -> None:
    harness.command(c.Collect(terminators="#*"))
    press(harness, "12#")
    assert result(harness) == ("12", "terminator")


@pytest.mark.parametrize(("typed", "reason"), [("", "timeout"), ("1", "timeout"), ("12", "complete")])
def test_timeout_completes_only_with_enough_digits(harness: Harness, typed: str, reason: str) -> None:
    harness.command(c.Collect(min_digits=2, timeout_ms=1000))
    press(harness, typed)
    harness.wait(1.1)
    assert result(harness) == (typed, reason)


def test_each_digit_starts_the_timeout_anew(harness: Harness) -> None:
    harness.command(c.Collect(timeout_ms=1000))
    harness.wait(0.8)
    press(harness, "1")
    harness.wait(0.8)
    assert not harness.emitted(events.Collected)


def test_timeout_waits_for_the_prompt(harness: Harness) -> None:
    harness.command(c.Say(text="dial now"))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0))
    harness.command(c.Collect(timeout_ms=1000))
    harness.wait(5)
    assert not harness.emitted(events.Collected)
    harness.report(
        reports.SourceDone(1, 1), reports.TrackDrained(1, 100.0), reports.TrackEnded(1, 100.0, 5000)
    )
    harness.wait(1.1)
    assert result(harness) == ("", "timeout")


@pytest.mark.parametrize("barge_in", [True, False])
def test_first_digit_interrupts_the_prompt_where_allowed(harness: Harness, barge_in: bool) -> None:
    harness.command(c.Say(text="dial now"))
    harness.report(reports.TrackStarted(1, 100.0))
    harness.command(c.Collect(barge_in=barge_in))
    press(harness, "12")
    assert len(harness.effects_of(effects.DropTrack)) == barge_in


def test_new_collect_interrupts_the_old(harness: Harness) -> None:
    harness.command(c.Collect())
    press(harness, "1")
    harness.command(c.Collect())
    assert result(harness) == ("1", "interrupted")


@pytest.mark.parametrize(
    "command",
    [
        c.Collect(min_digits=5, max_digits=2),
        c.Collect(timeout_ms=5),
        c.Collect(terminators="x"),
        c.Collect(max_digits=0),
    ],
)
def test_senseless_bounds_are_rejected(harness: Harness, command: c.Collect) -> None:
    with pytest.raises(CommandRejected):
        harness.command(command)
