"""What the parts of a call are told of its party."""

import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects as fx
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.stream_words import KeyPressed, PartySpeech
from tests.call.harness import Harness


@pytest.fixture
def call() -> Harness:
    return Harness(c.CallOption(inactivity_s=30))


@pytest.mark.parametrize(
    "report",
    [
        r.SpeechStarted("party", 100.0, 99.0),
        r.SpeechStopped("party", 100.0, 99.0, 100.0),
        r.DigitReceived("party", 100.0, "5"),
    ],
)
def test_what_the_party_says_or_presses_keeps_the_call_active(call, report):
    call.wait(20)
    call.report(report)
    call.wait(20)
    assert "HungUp" not in call.names()
    call.wait(15)
    assert "HungUp" in call.names()


def test_hold_and_silence_do_not_keep_the_call_active(call):
    call.wait(20)
    call.report(r.LegHeld("party", held=True), r.LegHeld("party", held=False))
    call.wait(15)
    assert "HungUp" in call.names()


def test_digit_reaches_the_streams_and_interrupts_the_prompt_of_a_collect(call):
    call.command(c.StartStream(stream="bot", option=c.StreamOption("ws://x/")))
    call.command(c.Play(url="http://x/prompt.wav"))
    call.command(c.Collect())
    call.report(r.DigitReceived("party", 100.0, "5"))
    assert call.effects_of(fx.TellStream) == [fx.TellStream("bot", KeyPressed("5"))]


def test_speech_of_the_party_is_told_to_the_streams(call):
    call.command(c.StartStream(stream="bot", option=c.StreamOption("ws://x/", two_way=True)))
    call.report(r.SpeechStarted("party", 100.0, 99.9), r.SpeechStopped("party", 101.0, 99.9, 100.8))
    assert call.effects_of(fx.TellStream) == [
        fx.TellStream("bot", PartySpeech(True)),
        fx.TellStream("bot", PartySpeech(False)),
    ]


@pytest.mark.parametrize(("off", "more"), [(True, 1), (False, 0)])
def test_speech_is_detected_for_a_service_that_leaves_it_to_the_switch(off, more):
    call = Harness(c.CallOption(vad=c.VadOption(off=off)))
    call.command(c.StartStream(stream="bot", option=c.StreamOption("ws://x/", two_way=True)))
    before = len(call.effects_of(fx.DetectSpeech))
    call.report(r.StreamOpened("bot"))
    assert len(call.effects_of(fx.DetectSpeech)) == before
    call.report(r.StreamOpened("bot", follows_speech=True))
    assert len(call.effects_of(fx.DetectSpeech)) == before + more
