"""Speech and silence, barge-in, end of utterance, waiting for input."""

import pytest

from softswitch.call import commands as c
from softswitch.call import effects, events, reports
from softswitch.call.commands import BargeInOption, CallOption
from softswitch.call.turns import LONGER, SHORTER, patience
from tests.call.desk import Desk


def speak(desk: Desk) -> None:
    desk.command(c.Say(text="a long story", play_id="story"))
    desk.report(reports.SourceFed(1), reports.PlaybackStarted(1))


def start(desk: Desk, ago: float = 0.2) -> None:
    desk.report(reports.SpeechStarted("party", desk.now - ago))


def stop(desk: Desk, began: float) -> None:
    desk.report(reports.SpeechStopped("party", began, desk.now - 0.3))


def test_speaking_and_silence_carry_when_they_began() -> None:
    desk = Desk(CallOption())
    desk.now = 110.0
    start(desk)
    desk.now = 112.0
    stop(desk, 109.8)
    speaking, silence = desk.told(events.Speaking)[0], desk.told(events.Silence)[0]
    assert speaking.start_time == 1_700_000_109_800
    assert (silence.start_time, silence.duration) == (1_700_000_111_700, 300)
    assert (silence.speech_start, silence.speech_duration) == (1_700_000_109_800, 1900)


def test_barge_in_pauses_first_and_interrupts_when_speech_lasts() -> None:
    desk = Desk(CallOption(barge_in=BargeInOption(server=True, min_speech_ms=300, fade_ms=40)))
    speak(desk)
    start(desk)
    assert desk.did(effects.PausePlayback)[0].paused
    assert not desk.did(effects.DropPlayback)
    desk.wait(0.11)
    assert desk.did(effects.DropPlayback)[0].fade_ms == 40


def test_barge_in_resumes_after_a_false_alarm() -> None:
    desk = Desk(CallOption(barge_in=BargeInOption(server=True, min_speech_ms=600)))
    speak(desk)
    began = desk.now - 0.2
    start(desk)
    desk.wait(0.35)
    stop(desk, began)
    assert [pause.paused for pause in desk.did(effects.PausePlayback)] == [True, False]
    assert not desk.did(effects.DropPlayback)


def test_barge_in_by_words_ignores_fillers() -> None:
    option = CallOption(asr=c.AsrOption(), barge_in=BargeInOption(server=True, min_words=2))
    desk = Desk(option)
    speak(desk)
    start(desk)
    desk.report(reports.Transcribed("party", 0, "uh stop", desk.now, desk.now, final=False))
    assert not desk.did(effects.DropPlayback)
    desk.report(reports.Transcribed("party", 0, "uh stop please", desk.now, desk.now, final=False))
    assert desk.did(effects.DropPlayback)


def test_barge_in_by_words_resumes_when_no_words_come() -> None:
    option = CallOption(asr=c.AsrOption(), barge_in=BargeInOption(server=True, min_words=1))
    desk = Desk(option)
    speak(desk)
    began = desk.now - 0.2
    start(desk)
    desk.now += 0.5
    stop(desk, began)
    desk.wait(0.7)
    assert len(desk.did(effects.PausePlayback)) == 1
    desk.wait(0.2)
    assert not desk.did(effects.PausePlayback)[-1].paused


def test_without_barge_in_speech_leaves_the_machine_alone() -> None:
    desk = Desk(CallOption())
    speak(desk)
    start(desk)
    desk.wait(3)
    assert not desk.did(effects.PausePlayback)
    assert not desk.did(effects.DropPlayback)


def test_barge_in_leaves_what_the_client_paused() -> None:
    desk = Desk(CallOption(barge_in=BargeInOption(server=True)))
    speak(desk)
    desk.command(c.Pause())
    began = desk.now - 0.2
    start(desk)
    desk.now += 0.1
    stop(desk, began)
    desk.wait(2)
    assert [pause.paused for pause in desk.did(effects.PausePlayback)] == [True]


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("I want to leave", 1.0), ("It is over.", SHORTER), ("I would like um", LONGER), ("four two", LONGER),
        ("one two three four", SHORTER), ("", 1.0),
    ],
)  # fmt: skip
def test_patience_depends_on_how_a_text_ends(text: str, factor: float) -> None:
    assert patience(text) == factor


def test_end_of_utterance_comes_after_the_wait_and_holds_the_whole_text() -> None:
    desk = Desk(CallOption(asr=c.AsrOption()))
    began = desk.now - 0.2
    start(desk)
    desk.now += 1
    stop(desk, began)
    assert desk.did(effects.FinalizeUtterance)
    desk.report(reports.Transcribed("party", 0, "go forward", began, desk.now, final=True))
    desk.wait(0.19)
    assert not desk.told(events.EndOfUtterance)
    desk.wait(0.02)
    eou = desk.told(events.EndOfUtterance)[0]
    assert (eou.text, eou.completed) == ("go forward", True)


def test_end_of_utterance_waits_longer_after_a_hesitation_and_starts_anew_with_speech() -> None:
    desk = Desk(CallOption(eou=c.EouOption(silence_ms=500)))
    began = desk.now - 0.2
    start(desk)
    desk.now += 1
    stop(desk, began)
    desk.report(reports.Transcribed("party", 0, "I would like um", began, desk.now, final=True))
    desk.wait(0.6)
    start(desk)
    desk.wait(3)
    assert not desk.told(events.EndOfUtterance)
    stop(desk, desk.now - 1)
    desk.report(reports.Transcribed("party", 1, "two coffees", began, desk.now, final=True))
    desk.wait(1)
    assert [eou.text for eou in desk.told(events.EndOfUtterance)] == ["I would like um two coffees"]


def test_wait_input_timeout_tells_silence_unless_somebody_acts() -> None:
    desk = Desk(CallOption())
    desk.command(c.Say(text="your name?", wait_input_ms=2000))
    desk.report(reports.SourceDone(1, 1))
    desk.heard(1)
    desk.wait(1.9)
    assert not desk.told(events.Silence)
    desk.wait(0.2)
    assert desk.told(events.Silence)[0].duration == 2000
    desk.command(c.Say(text="your name?", wait_input_ms=2000))
    desk.report(reports.SourceDone(2, 1))
    desk.heard(2)
    desk.report(reports.DigitReceived("party", "1"))
    desk.wait(5)
    assert len(desk.told(events.Silence)) == 1


def test_silence_repeats_where_that_is_asked_for() -> None:
    desk = Desk(CallOption(vad=c.VadOption(silence_timeout_ms=1000)))
    began = desk.now - 1
    start(desk)
    stop(desk, began)
    desk.wait(2.2)
    assert len(desk.told(events.Silence)) == 3


def test_end_of_utterance_waits_for_the_final_text_but_not_for_ever() -> None:
    desk = Desk(CallOption(asr=c.AsrOption()))
    began = desk.now - 0.2
    start(desk)
    desk.now += 1
    desk.report(reports.Transcribed("party", 0, "go for", began, desk.now, final=False))
    stop(desk, began)
    desk.wait(1.1)
    assert not desk.told(events.EndOfUtterance)
    desk.wait(0.2)
    assert [eou.text for eou in desk.told(events.EndOfUtterance)] == ["go for"]
