"""Gathering digits."""

import pytest

from softswitch.call import commands as c
from softswitch.call import effects, events, reports
from softswitch.call.commands import CallOption, CommandRejected
from tests.call.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk(CallOption())


def press(desk: Desk, digits: str) -> None:
    for digit in digits:
        desk.report(reports.DigitReceived("party", digit))


def result(desk: Desk) -> tuple[str, str]:
    collected = desk.told(events.Collected)
    assert len(collected) == 1
    return collected[0].digits, collected[0].reason


def test_maximum_completes(desk: Desk) -> None:
    desk.command(c.Collect(max_digits=3))
    press(desk, "159")
    assert result(desk) == ("159", "complete")
    assert [dtmf.digit for dtmf in desk.told(events.Dtmf)] == ["1", "5", "9"]


def test_terminator_ends_and_is_not_a_digit(desk: Desk) -> None:
    desk.command(c.Collect(terminators="#*"))
    press(desk, "12#")
    assert result(desk) == ("12", "terminator")


@pytest.mark.parametrize(("typed", "reason"), [("", "timeout"), ("1", "timeout"), ("12", "complete")])
def test_timeout_completes_only_with_enough_digits(desk: Desk, typed: str, reason: str) -> None:
    desk.command(c.Collect(min_digits=2, timeout_ms=1000))
    press(desk, typed)
    desk.wait(1.1)
    assert result(desk) == (typed, reason)


def test_each_digit_starts_the_timeout_anew(desk: Desk) -> None:
    desk.command(c.Collect(timeout_ms=1000))
    desk.wait(0.8)
    press(desk, "1")
    desk.wait(0.8)
    assert not desk.told(events.Collected)


def test_timeout_waits_for_the_prompt(desk: Desk) -> None:
    desk.command(c.Say(text="dial now"))
    desk.report(reports.SourceFed(1), reports.PlaybackStarted(1))
    desk.command(c.Collect(timeout_ms=1000))
    desk.wait(5)
    assert not desk.told(events.Collected)
    desk.report(reports.SourceDone(1, 1), reports.PlaybackDrained(1), reports.PlaybackEnded(1, 5000))
    desk.wait(1.1)
    assert result(desk) == ("", "timeout")


@pytest.mark.parametrize("barge_in", [True, False])
def test_first_digit_interrupts_the_prompt_where_allowed(desk: Desk, barge_in: bool) -> None:
    desk.command(c.Say(text="dial now"))
    desk.report(reports.PlaybackStarted(1))
    desk.command(c.Collect(barge_in=barge_in))
    press(desk, "12")
    assert len(desk.did(effects.DropPlayback)) == barge_in


def test_new_collect_interrupts_the_old(desk: Desk) -> None:
    desk.command(c.Collect())
    press(desk, "1")
    desk.command(c.Collect())
    assert result(desk) == ("1", "interrupted")


@pytest.mark.parametrize(
    "command",
    [
        c.Collect(min_digits=5, max_digits=2),
        c.Collect(timeout_ms=5),
        c.Collect(terminators="x"),
        c.Collect(max_digits=0),
    ],
)
def test_senseless_bounds_are_rejected(desk: Desk, command: c.Collect) -> None:
    with pytest.raises(CommandRejected):
        desk.command(command)
