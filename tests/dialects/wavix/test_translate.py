"""From requests to commands."""

import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix import translate
from softswitch.dialects.wavix.fields import InvalidError


def refused(work, *arguments) -> set[str]:
    with pytest.raises(InvalidError) as caught:
        work(*arguments)
    return set(caught.value.errors)


def originate(**fields) -> q.Originate:
    return q.Originate(**{"from_": "100", "to": "echo", **fields})


def test_call_is_made_with_its_times_and_without_speech_detection():
    command = translate.invite(originate(timeout=20, max_duration=60, recording=True), [])
    option = command.option
    assert (option.caller, option.callee, option.handshake_s, option.max_duration_s) == (
        "100",
        "echo",
        20,
        60,
    )
    assert option.vad.off
    assert option.recorder is not None


def test_everything_wrong_with_a_call_is_named():
    body = originate(to="?", from_="a\nb", status_callback="x", callback_url="ftp://x")
    expected = {"to", "from", "status_callback", "callback_url"}
    assert refused(translate.invite, body, []) == expected


def stream(**fields) -> q.StartStream:
    base = {"stream_url": "wss://x/", "stream_type": "twoway", "stream_channel": "both"}
    return q.StartStream(**{**base, **fields})


def test_stream_takes_the_extras_of_the_settings_unless_it_has_its_own():
    assert translate.stream_option(stream(), ("start",)).extras == ("start",)
    assert translate.stream_option(stream(stream_extras=()), ("start",)).extras == ()
    assert not translate.stream_option(stream()).live
    option = translate.stream_option(stream(reconnect_s=5, hangup_on_stream_close=True, stream_live=True))
    assert option.live
    assert (option.two_way, option.channel, option.reconnect_s, option.hangup_on_close) == (
        True,
        "both",
        5,
        True,
    )


@pytest.mark.parametrize("url", ["http://x/", "x", "WS", " ws://x"])
def test_stream_needs_a_websocket_url(url):
    assert refused(translate.stream_option, stream(stream_url=url)) == {"stream_url"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x"},
        {"sec-websocket-protocol": "x"},
        {"": "x"},
        {"a": "b\nc"},
        {"a": "x" * 4097},
        {f"h{number}": "x" for number in range(33)},
    ],
)
def test_headers_that_would_break_the_handshake_are_refused(headers):
    assert refused(translate.stream_option, stream(stream_headers=headers)) == {"stream_headers"}


def test_answer_with_any_stream_field_needs_all_three():
    assert translate.stream_of_answer({}) is None
    assert translate.stream_of_answer({"call_recording": True}) is None
    assert refused(translate.stream_of_answer, {"stream_url": "ws://x/"}) == {"stream_type", "stream_channel"}
    full = {"stream_url": "ws://x/", "stream_type": "oneway", "stream_channel": "both", "reconnect_s": 3}
    found = translate.stream_of_answer(full)
    assert found is not None
    assert found.reconnect_s == 3


def test_play_is_preceded_by_silence_of_the_right_length():
    [silence, play] = translate.play(q.Play(audio_file="https://x/a.wav", delay_before_playing=250), "p")
    assert isinstance(silence, c.Say)
    assert silence.option is not None
    assert len(silence.pcm) / 2 / silence.option.sample_rate == 0.25
    assert (silence.play_id, play) == ("p", c.Play(url="https://x/a.wav", play_id="p"))
    assert translate.play(q.Play(audio_file="https://x/a.wav"), "p") == [play]


def test_text_is_said_as_often_as_was_asked_for():
    assert (
        translate.speak(q.Speak(text="hi", max_repeat_count=3), "p", {})
        == [c.Say(text="hi", play_id="p")] * 3
    )
    [said] = translate.speak(q.Speak(text="hi", voice="v"), "p", {})
    assert isinstance(said, c.Say)
    assert said.option == c.TtsOption(voice="v")


def test_keys_are_gathered_within_bounds():
    body = q.Collect(min_digits=2, max_digits=4, timeout=7, termination_character="*")
    translate.check_collect(body)
    command = translate.collect(body)
    assert (command.min_digits, command.max_digits, command.terminators, command.timeout_ms) == (
        2,
        4,
        "*",
        7000,
    )


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"min_digits": 5, "max_digits": 4}, {"min_digits"}),
        ({"termination_character": "x"}, {"termination_character"}),
        ({"audio": q.PromptAudio(url="x")}, {"audio"}),
        ({"prompt": q.Prompt()}, {"prompt"}),
        ({"prompt": q.Prompt(play="https://x/", say="x")}, {"prompt"}),
        ({"callback_url": "x"}, {"callback_url"}),
    ],
)
def test_gathering_that_makes_no_sense_is_refused(fields, names):
    assert refused(translate.check_collect, q.Collect(**fields)) == names


def test_prompt_is_a_file_a_text_or_nothing():
    play = c.Play(url="https://x/", play_id="p")
    assert translate.prompt(q.Collect(audio=q.PromptAudio(url="https://x/")), "p", {}) == play
    assert translate.prompt(q.Collect(prompt=q.Prompt(play="https://x/")), "p", {}) == play
    assert translate.prompt(q.Collect(prompt=q.Prompt(say="hi")), "p", {}) == c.Say(text="hi", play_id="p")
    assert translate.prompt(q.Collect(), "p", {}) is None


def test_voices_and_languages_of_requests_are_those_of_the_switch():
    voices = {"joanna": "slt"}
    [said] = translate.speak(q.Speak(text="hi", voice="Joanna"), "p", voices)
    assert said == c.Say(text="hi", play_id="p", option=c.TtsOption(voice="slt"))
    say = q.SpokenPrompt(text="hi", voice="Hans", language="ge")
    prompt = translate.prompt(q.Collect(prompt=q.Prompt(say=say)), "p", voices)
    assert prompt == c.Say(text="hi", play_id="p", option=c.TtsOption(voice="Hans", language="de"))


def test_text_is_spoken_after_its_delay():
    silence, said = translate.speak(q.Speak(text="hi", delay_before_playing=1000), "p", {})
    assert isinstance(silence, c.Say)
    assert (len(silence.pcm), silence.play_id) == (16000, "p")
    assert said == c.Say(text="hi", play_id="p")


def test_transcript_is_made_of_a_recording_which_it_asks_for() -> None:
    command = translate.invite(originate(call_transcription=True, voicemail_detection=True), [])
    assert command.option.recorder == c.RecorderOption(transcribe=True)
    assert command.option.amd == c.AmdOption()
    plain = translate.invite(originate(recording=True), []).option
    assert (plain.recorder, plain.amd) == (c.RecorderOption(), None)
    assert translate.accept(q.Answer(call_transcription=True)).option.recorder == c.RecorderOption(
        transcribe=True
    )


def test_transfer_is_recorded_transcribed_and_detected_from_its_answer_on() -> None:
    body = q.Transfer(to="echo", call_recording=True, call_transcription=True, machine_detection=True)
    command = translate.transfer(body, [])
    assert (command.recorder, command.amd) == (c.RecorderOption(transcribe=True), c.AmdOption())
    plain = translate.transfer(q.Transfer(to="echo"), [])
    assert (plain.recorder, plain.amd) == (None, None)


@pytest.mark.parametrize("url", ["WS://host/x", "wSs://host", "ws://[::1]:80/"])
def test_scheme_of_a_stream_has_no_case(url):
    option = translate.stream_option(
        q.StartStream(stream_url=url, stream_type="oneway", stream_channel="both")
    )
    assert option.url == url[: url.index(":")].lower() + url[url.index(":") :]


@pytest.mark.parametrize("url", ["ws://", "ws://[::1", "ws:///x", "ws:host", "http://host", "ws://h:99999"])
def test_url_without_a_valid_host_is_refused(url):
    with pytest.raises(InvalidError):
        translate.stream_option(q.StartStream(stream_url=url, stream_type="oneway", stream_channel="both"))
