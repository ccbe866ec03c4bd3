"""The supervision of another call: which commands are possible when, and what they come to."""

import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects as fx
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from tests.call.harness import Harness


def supervising(mode: str = "listen", **fields: object) -> Harness:
    call = Harness(CallOption())
    call.command(c.Supervise(other="x", mode=mode, **fields))  # type: ignore[arg-type]
    call.report(r.Supervises("x", mode))  # type: ignore[arg-type]
    return call


def told(call: Harness) -> list[tuple[str, str]]:
    return [(event.state, event.mode) for event in call.emitted(e.Supervision)]


def asked(call: Harness) -> fx.SuperviseCall:
    return call.effects_of(fx.SuperviseCall)[-1]


def test_supervision_begins_changes_and_ends() -> None:
    call = supervising(request_id="1", transcript=True)
    assert asked(call) == fx.SuperviseCall("x", "listen", None, True, request_id="1")
    call.command(c.Supervise(mode="whisper", side="first"))
    assert asked(call) == fx.SuperviseCall("x", "whisper", "first")
    call.report(r.Supervises("x", "whisper"))
    call.command(c.Supervise(mode="stop", request_id="2"))
    assert asked(call).other == ""
    assert [event.request_id for event in call.emitted(e.Ack)] == ["1"], "nothing has ended yet"
    call.report(r.SupervisionOver("x"))
    assert told(call) == [("started", "listen"), ("changed", "whisper"), ("ended", "whisper")]
    assert [event.request_id for event in call.emitted(e.Ack)] == ["1", "2"]
    assert not call.call.supervises
    call.command(c.Supervise(other="y"))


def test_callee_is_supervised_and_ends_the_call() -> None:
    call = Harness(CallOption(callee="supervise:x"))
    assert asked(call) == fx.SuperviseCall("x", alone=True)
    call.report(r.Supervises("x", "listen"), r.SupervisionOver("x"))
    assert call.emitted(e.HungUp)[0].reason == "callee"


def test_call_made_for_a_supervision_ends_where_it_is_refused() -> None:
    call = Harness(CallOption(callee="supervise:x"))
    call.report(r.Refused("supervise", code=404))
    assert call.emitted(e.HungUp)[0].reason == "rejected"


def test_refused_change_leaves_the_supervision_as_it_was() -> None:
    call = supervising()
    call.command(c.Supervise(mode="whisper", request_id="1"))
    call.report(r.Refused("supervise", code=409, request_id="1"))
    call.report(r.Supervises("x", "join"))
    assert told(call)[-1] == ("changed", "join")
    assert not call.emitted(e.Ack)


def test_refused_beginning_lets_another_one_begin() -> None:
    call = Harness(CallOption())
    call.command(c.Supervise(other="x"))
    call.report(r.Refused("tts", code=500), r.Refused("supervise", code=404))
    assert not call.call.supervises
    call.report(r.Supervises("x", "listen"), r.SupervisionOver("x"))
    assert told(call) == []


def test_take_over_is_a_bridge_from_then_on() -> None:
    call = supervising()
    call.command(c.Supervise(mode="take_over"))
    call.report(r.Supervises("x", "take_over"), r.Bridged("x"))
    assert told(call)[-1] == ("changed", "take_over")
    with pytest.raises(CommandRejected) as rejected:
        call.command(c.Supervise(mode="listen"))
    assert rejected.value.rejection.reason is Reason.NOT_SUPERVISING
    with pytest.raises(CommandRejected) as rejected:
        call.command(c.Supervise(other="y"))
    assert rejected.value.rejection.reason is Reason.SUPERVISOR_TALKS


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (c.Supervise(other="y"), Reason.SUPERVISES_ALREADY),
        (c.Bridge(other="y"), Reason.SUPERVISES),
        (c.Refer(callee="user:a"), Reason.SUPERVISES),
    ],
)
def test_supervisor_does_nothing_else_meanwhile(command: c.Command, reason: Reason) -> None:
    with pytest.raises(CommandRejected) as rejected:
        supervising().command(command)
    assert rejected.value.rejection.reason is reason


@pytest.mark.parametrize("mode", ["listen", "stop"])
def test_without_a_call_there_is_nothing_to_supervise(mode: str) -> None:
    with pytest.raises(CommandRejected) as rejected:
        Harness(CallOption()).command(c.Supervise(mode=mode))  # type: ignore[arg-type]
    assert rejected.value.rejection.reason is Reason.NOT_SUPERVISING


def test_keys_choose_the_mode_of_a_call_that_is_there_for_it() -> None:
    call = supervising(auto_hangup=True)
    for digit, mode in (("2", "whisper"), ("3", "join"), ("1", "listen"), ("4", "take_over")):
        call.report(r.DigitReceived("party", call.now, digit))
        assert asked(call) == fx.SuperviseCall("x", mode, alone=True)  # type: ignore[arg-type]
    before = len(call.effects_of(fx.SuperviseCall))
    call.report(r.DigitReceived("party", call.now, "9"))
    other = supervising()
    other.report(r.DigitReceived("party", other.now, "2"))
    assert len(call.effects_of(fx.SuperviseCall)) == before
    assert len(other.effects_of(fx.SuperviseCall)) == 1
