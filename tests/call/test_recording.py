"""The recording of one call: which commands are possible when."""

import pytest

from softswitch.call.outbox import Outbox
from softswitch.call.recording import Recording
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects as fx
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.rejection import CommandRejected, Reason


class Rig:
    def __init__(self) -> None:
        self.outbox = Outbox("c", 0.0)
        self.recording = Recording(self.outbox)

    def do(self, action: str) -> list[object]:
        self.recording.command(c.Record(action=action), "party")  # type: ignore[arg-type]
        found = self.outbox.take_effects()
        for effect in found:
            self.recording.noted(effect)
        return list(found)

    def told(self) -> list[str]:
        return [event.state for event in self.outbox.take_events() if isinstance(event, e.Recording)]


def test_recording_goes_through_its_states() -> None:
    rig = Rig()
    assert isinstance(rig.do("start")[0], fx.Record)
    assert rig.do("pause") == [fx.ChangeRecording("pause")]
    assert rig.do("resume") == [fx.ChangeRecording("resume")]
    assert rig.do("stop") == [fx.ChangeRecording("stop")]
    assert rig.told() == ["started", "paused", "resumed"]
    rig.recording.report(r.RecordingClosed("a.wav", 20, 44))
    assert rig.told() == ["stopped"]
    rig.do("start")


@pytest.mark.parametrize(
    ("before", "action", "reason"),
    [
        ((), "pause", Reason.NOT_RECORDED),
        ((), "resume", Reason.NOT_RECORDED),
        ((), "stop", Reason.NOT_RECORDED),
        (("start",), "start", Reason.RECORDED_ALREADY),
        (("start",), "resume", Reason.NOT_PAUSED),
        (("start", "pause"), "pause", Reason.PAUSED_ALREADY),
        (("start", "pause"), "start", Reason.RECORDED_ALREADY),
        (("start", "stop"), "start", Reason.RECORDED_ALREADY),
        (("start", "stop"), "stop", Reason.NOT_RECORDED),
        (("start", "stop"), "pause", Reason.NOT_RECORDED),
    ],
)
def test_command_out_of_turn_is_rejected(before: tuple[str, ...], action: str, reason: Reason) -> None:
    rig = Rig()
    for one in before:
        rig.do(one)
    with pytest.raises(CommandRejected) as caught:
        rig.do(action)
    assert caught.value.rejection.reason is reason
    assert rig.outbox.take_effects() == []


def test_recording_that_could_not_begin_may_be_started_again() -> None:
    rig = Rig()
    rig.do("start")
    rig.recording.report(r.Refused("tts", "x", 500))
    with pytest.raises(CommandRejected):
        rig.do("start")
    rig.recording.report(r.Refused("recorder", "the disk is full", 507))
    rig.do("start")
