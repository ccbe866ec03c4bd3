"""Speech and silence, barge-in, end of utterance, waiting for input."""

import pytest

from softswitch.call.turns import LONGER, SHORTER, patience
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import BargeInOption, CallOption
from tests.call.harness import Harness


def speak(harness: Harness) -> None:
    harness.command(c.Say(text="a long story", play_id="story"))
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0))


def start(harness: Harness, ago: float = 0.2) -> None:
    harness.report(reports.SpeechStarted("party", 100.0, harness.now - ago))


def stop(harness: Harness, began: float) -> None:
    harness.report(reports.SpeechStopped("party", 100.0, began, harness.now - 0.3))


def test_speaking_and_silence_carry_when_they_began() -> None:
    harness = Harness(CallOption())
    harness.now = 110.0
    start(harness)
    harness.now = 112.0
    stop(harness, 109.8)
    speaking, silence = harness.emitted(events.Speaking)[0], harness.emitted(events.Silence)[0]
    assert speaking.start_time == pytest.approx(1_700_000_109.8)
    assert (silence.start_time, silence.duration) == (pytest.approx(1_700_000_111.7), 300)
    assert (silence.speech_start, silence.speech_duration) == (pytest.approx(1_700_000_109.8), 1900)


def test_barge_in_pauses_first_and_interrupts_when_speech_lasts() -> None:
    harness = Harness(CallOption(barge_in=BargeInOption(server=True, min_speech_ms=300, fade_ms=40)))
    speak(harness)
    start(harness)
    assert harness.effects_of(effects.SetTrack)[0].paused
    assert not harness.effects_of(effects.DropTrack)
    harness.wait(0.11)
    assert harness.effects_of(effects.DropTrack)[0].fade_ms == 40


def test_barge_in_resumes_after_a_false_alarm() -> None:
    harness = Harness(CallOption(barge_in=BargeInOption(server=True, min_speech_ms=600)))
    speak(harness)
    began = harness.now - 0.2
    start(harness)
    harness.wait(0.35)
    stop(harness, began)
    assert [pause.paused for pause in harness.effects_of(effects.SetTrack)] == [True, False]
    assert not harness.effects_of(effects.DropTrack)


def test_barge_in_by_words_ignores_fillers() -> None:
    option = CallOption(asr=c.AsrOption(), barge_in=BargeInOption(server=True, min_words=2))
    harness = Harness(option)
    speak(harness)
    start(harness)
    harness.report(reports.Transcribed("party", 0, "uh stop", harness.now, harness.now, final=False))
    assert not harness.effects_of(effects.DropTrack)
    harness.report(reports.Transcribed("party", 0, "uh stop please", harness.now, harness.now, final=False))
    assert harness.effects_of(effects.DropTrack)


def test_barge_in_by_words_resumes_when_no_words_come() -> None:
    option = CallOption(asr=c.AsrOption(), barge_in=BargeInOption(server=True, min_words=1))
    harness = Harness(option)
    speak(harness)
    began = harness.now - 0.2
    start(harness)
    harness.now += 0.5
    stop(harness, began)
    harness.wait(0.7)
    assert len(harness.effects_of(effects.SetTrack)) == 1
    harness.wait(0.2)
    assert not harness.effects_of(effects.SetTrack)[-1].paused


def test_without_barge_in_speech_leaves_the_machine_alone() -> None:
    harness = Harness(CallOption())
    speak(harness)
    start(harness)
    harness.wait(3)
    assert not harness.effects_of(effects.SetTrack)
    assert not harness.effects_of(effects.DropTrack)


def test_barge_in_leaves_what_the_client_paused() -> None:
    harness = Harness(CallOption(barge_in=BargeInOption(server=True)))
    speak(harness)
    harness.command(c.Pause())
    began = harness.now - 0.2
    start(harness)
    harness.now += 0.1
    stop(harness, began)
    harness.wait(2)
    assert [pause.paused for pause in harness.effects_of(effects.SetTrack)] == [True]


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
    harness = Harness(CallOption(asr=c.AsrOption()))
    began = harness.now - 0.2
    start(harness)
    harness.now += 1
    stop(harness, began)
    assert harness.effects_of(effects.FinalizeUtterance)
    harness.report(reports.Transcribed("party", 0, "go forward", began, harness.now, final=True))
    harness.wait(0.19)
    assert not harness.emitted(events.EndOfUtterance)
    harness.wait(0.02)
    eou = harness.emitted(events.EndOfUtterance)[0]
    assert (eou.text, eou.completed) == ("go forward", True)


def test_end_of_utterance_waits_longer_after_a_hesitation_and_starts_anew_with_speech() -> None:
    harness = Harness(CallOption(eou=c.EouOption(silence_ms=500)))
    began = harness.now - 0.2
    start(harness)
    harness.now += 1
    stop(harness, began)
    harness.report(reports.Transcribed("party", 0, "I would like um", began, harness.now, final=True))
    harness.wait(0.6)
    start(harness)
    harness.wait(3)
    assert not harness.emitted(events.EndOfUtterance)
    stop(harness, harness.now - 1)
    harness.report(reports.Transcribed("party", 1, "two coffees", began, harness.now, final=True))
    harness.wait(1)
    assert [eou.text for eou in harness.emitted(events.EndOfUtterance)] == ["I would like um two coffees"]


def test_wait_input_timeout_tells_silence_unless_somebody_acts() -> None:
    harness = Harness(CallOption())
    harness.command(c.Say(text="your name?", wait_input_ms=2000))
    harness.report(reports.SourceDone(1, 1))
    harness.heard(1)
    harness.wait(1.9)
    assert not harness.emitted(events.Silence)
    harness.wait(0.2)
    assert harness.emitted(events.Silence)[0].duration == 2000
    harness.command(c.Say(text="your name?", wait_input_ms=2000))
    harness.report(reports.SourceDone(2, 1))
    harness.heard(2)
    harness.report(reports.DigitReceived("party", 100.0, "1"))
    harness.wait(5)
    assert len(harness.emitted(events.Silence)) == 1


def test_silence_repeats_where_that_is_asked_for() -> None:
    harness = Harness(CallOption(vad=c.VadOption(silence_timeout_ms=1000)))
    began = harness.now - 1
    start(harness)
    stop(harness, began)
    harness.wait(2.2)
    assert len(harness.emitted(events.Silence)) == 3


def test_end_of_utterance_waits_for_the_final_text_but_not_for_ever() -> None:
    harness = Harness(CallOption(asr=c.AsrOption()))
    began = harness.now - 0.2
    start(harness)
    harness.now += 1
    harness.report(reports.Transcribed("party", 0, "go for", began, harness.now, final=False))
    stop(harness, began)
    harness.wait(1.1)
    assert not harness.emitted(events.EndOfUtterance)
    harness.wait(0.2)
    assert [eou.text for eou in harness.emitted(events.EndOfUtterance)] == ["go for"]


def utterance(harness: Harness) -> tuple[float, float]:
    """Let the party speak for a second and fall silent; return when the speech began and ended."""
    began = harness.now - 0.2
    start(harness)
    harness.now += 1
    stop(harness, began)
    return began, harness.now - 0.3


def test_words_that_come_after_the_end_of_their_utterance_are_not_part_of_the_next() -> None:
    harness = Harness(CallOption(asr=c.AsrOption()))
    first = utterance(harness)
    harness.wait(5)
    harness.report(reports.Transcribed("party", 0, "go forward", *first, final=True))
    harness.now += 1
    second = utterance(harness)
    harness.report(reports.Transcribed("party", 1, "turn left", *second, final=True))
    harness.wait(2)
    assert [eou.text for eou in harness.emitted(events.EndOfUtterance)] == ["", "turn left"]


def test_words_of_the_utterance_before_that_come_within_the_next_are_not_part_of_it() -> None:
    harness = Harness(CallOption(asr=c.AsrOption()))
    first = utterance(harness)
    harness.wait(5)
    second = utterance(harness)
    harness.report(reports.Transcribed("party", 0, "go forward", *first, final=True))
    harness.wait(0.6)
    assert len(harness.emitted(events.EndOfUtterance)) == 1  # The text of the second is still missing.
    harness.report(reports.Transcribed("party", 1, "turn left", *second, final=True))
    harness.wait(1)
    assert [eou.text for eou in harness.emitted(events.EndOfUtterance)] == ["", "turn left"]


@pytest.mark.parametrize("ended", [True, False], ids=["after eou", "within the utterance"])
def test_words_spoken_before_a_cough_do_not_confirm_it_as_a_barge_in(ended: bool) -> None:
    option = CallOption(asr=c.AsrOption(), barge_in=BargeInOption(server=True, min_words=1))
    harness = Harness(option)
    first = utterance(harness)
    if ended:
        harness.wait(2)
    harness.report(reports.Transcribed("party", 0, "go forward um", *first, final=True))
    speak(harness)
    harness.now += 0.5
    start(harness)
    harness.wait(0.3)
    assert harness.effects_of(effects.SetTrack)[-1].paused
    assert not harness.effects_of(effects.DropTrack)
    harness.report(reports.Transcribed("party", 1, "stop", harness.now - 0.2, harness.now, final=False))
    assert harness.effects_of(effects.DropTrack)


# --- the end of a turn by its sound -----------------------------------------------
def judged(harness: Harness, probability: float, began: float) -> None:
    harness.report(
        reports.TurnJudged("party", probability, harness.now - 0.25),
    )
    stop(harness, began)


@pytest.mark.parametrize(
    ("probability", "text", "wait_s"),
    [
        (0.96, "go forward", 0.2),
        (0.3, "go forward.", 1.5),
        (0.96, "I would like the.", 1.5),
        (0.5, "go on", 0.75),
    ],
)
def test_a_turn_that_sounds_complete_ends_soon_and_another_late(
    probability: float, text: str, wait_s: float
) -> None:
    harness = Harness(CallOption(asr=c.AsrOption(), eou=c.EouOption()))
    began = harness.now
    start(harness, 0.0)
    harness.now += 2.0
    judged(harness, probability, began)
    harness.report(reports.Transcribed("party", 0, text, began, harness.now, final=True))
    # The silence began 0.3 s before it was told.
    harness.wait(max(wait_s - 0.3, 0.0) + 0.001)
    (eou,) = harness.emitted(events.EndOfUtterance)
    assert (eou.text, eou.probability, eou.completed) == (text, probability, probability >= 0.5)


def test_the_bounds_and_the_threshold_are_the_clients() -> None:
    for probability, wait_s in ((0.96, 0.4), (0.9, 0.9), (0.4, 2.0)):
        option = c.EouOption(silence_ms=600, least_ms=400, most_ms=2000, threshold=0.95)
        harness = Harness(CallOption(eou=option))
        began = harness.now
        start(harness, 0.0)
        harness.now += 2.0
        judged(harness, probability, began)
        harness.wait(wait_s - 0.3 - 0.01)
        assert not harness.emitted(events.EndOfUtterance)
        harness.wait(0.02)
        assert harness.emitted(events.EndOfUtterance)[0].completed is (probability >= 0.5)


def test_a_pause_that_was_judged_before_says_nothing_of_a_later_one() -> None:
    harness = Harness(CallOption(eou=c.EouOption(silence_ms=500)))
    began = harness.now
    start(harness, 0.0)
    harness.now += 1.0
    harness.report(reports.TurnJudged("party", 0.99, harness.now))
    harness.now += 2.0
    stop(harness, began)
    harness.wait(0.19)
    assert not harness.emitted(events.EndOfUtterance)
    harness.wait(0.02)
    assert harness.emitted(events.EndOfUtterance)[0].probability is None


def test_a_turn_that_is_judged_late_still_counts_and_speech_makes_it_void() -> None:
    harness = Harness(CallOption(eou=c.EouOption()))
    began = harness.now
    start(harness, 0.0)
    harness.now += 2.0
    stop(harness, began)
    harness.report(reports.TurnJudged("party", 0.1, harness.now - 0.3))
    harness.wait(0.5)
    assert not harness.emitted(events.EndOfUtterance)
    began = harness.now
    start(harness, 0.0)
    harness.now += 1.0
    stop(harness, began)
    harness.wait(0.21)
    assert harness.emitted(events.EndOfUtterance)[0].probability is None


def test_end_of_utterance_without_any_text_waits_for_its_text() -> None:
    harness = Harness(CallOption(asr=c.AsrOption()))
    began = harness.now - 0.2
    start(harness)
    harness.now += 1
    ended = harness.now - 0.3
    stop(harness, began)
    harness.wait(2.5)
    assert not harness.emitted(events.EndOfUtterance)
    harness.report(reports.Transcribed("party", 0, "at last", began, ended, final=True))
    harness.wait(0.1)
    assert [eou.text for eou in harness.emitted(events.EndOfUtterance)] == ["at last"]


@pytest.mark.parametrize(("text", "filler"), [("Uh, okay.", True), ("okay then", None), ("...", None)])
def test_final_text_of_fillers_alone_says_so(text: str, filler: bool | None) -> None:
    harness = Harness(CallOption(asr=c.AsrOption()))
    harness.report(reports.Transcribed("party", 0, text, 99.0, 100.0, final=True))
    assert harness.emitted(events.AsrFinal)[0].is_filler is filler
