"""Effects that the options of an invite start on a leg."""

import pytest

from softswitch.call.media_options import media_effects
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects as fx


def test_default_options_detect_speech_only():
    assert media_effects(c.CallOption(), "leg", tones_only=False) == [fx.DetectSpeech("leg", c.VadOption())]


@pytest.mark.parametrize(
    ("wanted", "tones_only", "on"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_tones_are_looked_for_where_asked_or_where_digits_come_no_other_way(wanted, tones_only, on):
    option = c.CallOption(inband_dtmf=wanted, vad=c.VadOption(off=True))
    assert media_effects(option, "leg", tones_only=tones_only) == [fx.SetInbandDtmf("leg", on=True)] * on


def test_media_are_passed_raw_here_and_in_other_protocols_as_a_stream():
    raw = c.MediaPassOption("ws://x/")
    option = c.CallOption(vad=c.VadOption(off=True), media_pass=raw, subscribe=True)
    assert media_effects(option, "leg", tones_only=False) == [fx.PassMedia("leg", raw), fx.ShareAudio("leg")]
    streamed = c.CallOption(
        vad=c.VadOption(off=True), media_pass=c.MediaPassOption("ws://x/", protocol="twilio")
    )
    assert media_effects(streamed, "leg", tones_only=False) == []
