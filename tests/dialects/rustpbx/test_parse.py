"""Commands from their text: spellings, bounds, and answers to nonsense."""

import base64
import json
import re
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.dialects.rustpbx import parse, tolerance
from softswitch.dialects.rustpbx.parse import _OTHER_NAMES, _SAME, _TRANSLATIONS, _WITH_OPTION
from softswitch.dialects.wording import words
from softswitch.protocol import call_commands as w


def option(**given: object) -> c.CallOption:
    command = parse(json.dumps({"command": "invite", "option": given}))
    assert isinstance(command, c.Invite)
    return command.option


def say(**given: object) -> c.Say:
    command = parse(json.dumps({"command": "tts", **given}))
    assert isinstance(command, c.Say)
    return command


def test_invite_of_a_real_client_is_understood() -> None:
    got = option(
        codec="G722",
        caller=None,
        asr={"provider": "tencent", "secretKey": "x"},
        tts={"provider": ["tencent", "builtin"], "speaker": "601003"},
        vad={"type": "silero"},
        denoise=True,
        handshakeTimeout="30",
    )
    assert (got.codec, got.denoise, got.handshake_s, got.vad.kind) == ("g722", True, 30.0, "silero")
    assert got.asr is not None
    assert got.asr.providers == ("tencent",)
    assert got.asr.extra == {"secretKey": "x"}
    assert (got.tts.providers, got.tts.voice) == (("tencent", "builtin"), "601003")
    assert got.shown["asr"] == {"provider": "tencent", "secretKey": "***"}


@pytest.mark.parametrize(
    ("wire", "grammar"),
    [
        ("digits", "digits"),
        (["yes", "no"], ("yes", "no")),
        ({"type": "phrases", "items": ["yes"]}, c.GrammarOption("phrases", ("yes",))),
        (
            {"type": "intents", "items": [{"name": "buy", "phrases": ["buy it"]}], "threshold": 0.7},
            c.GrammarOption("intents", (c.IntentOption("buy", ("buy it",)),), 0.7),
        ),
        ({"type": "digits"}, c.GrammarOption("digits")),
    ],
)
def test_grammars_are_names_lists_or_say_what_fits(wire: object, grammar: object) -> None:
    understood = option(asr={"grammar": wire}).asr
    assert understood is not None
    assert understood.grammar == grammar


@pytest.mark.parametrize(
    "wire",
    [{"type": "odd", "items": ["a"]}, {"type": "spot", "items": ["a"], "threshold": 2}],
)
def test_grammars_that_cannot_be_are_a_fault_of_the_option(wire: object) -> None:
    faults = option(asr={"grammar": wire}).faults
    assert faults
    assert all("grammar" in fault for fault in faults)


def test_grammar_without_items_is_rejected() -> None:
    with pytest.raises(CommandRejected, match="grammar"):
        option(asr={"grammar": {"type": "phrases"}})


@pytest.mark.parametrize(
    ("wire", "eou"),
    [
        (True, c.EouOption(500, 200, 1500, 0.95)),
        ({"timeout": 1000}, c.EouOption(1000, 400, 3000, 0.95)),
        ({"minSilence": 300, "maxSilence": 900, "threshold": 0.8}, c.EouOption(500, 300, 900, 0.8)),
    ],
)
def test_bounds_of_the_end_of_a_turn_follow_the_timeout_unless_given(wire: object, eou: c.EouOption) -> None:
    assert option(eou=wire).eou == eou


@pytest.mark.parametrize("key", ["samplerate", "sampleRate", "sample_rate"])
def test_sample_rate_is_known_by_every_spelling(key: str) -> None:
    assert option(**{key: 24000}).sample_rate == 24000


def test_source_is_live_as_far_as_its_client_says() -> None:
    url = "ws://x/"
    assert [option(**given).live for given in ({}, {"live": True}, {"live": False})] == [None, True, False]
    passes = [option(mediaPass={"url": url, **given}).media_pass for given in ({}, {"live": True})]
    assert passes == [c.MediaPassOption(url), c.MediaPassOption(url, live=True)]
    assert option(live="perhaps").live is None


def test_media_pass_names_a_protocol_that_exists() -> None:
    given = {"url": "ws://x/", "protocol": "twilio"}
    assert option(mediaPass=given).media_pass == c.MediaPassOption("ws://x/", protocol="twilio")
    wrong = option(mediaPass={"url": "ws://x/", "protocol": "twillio"})
    assert wrong.media_pass is None
    (fault,) = wrong.faults
    assert re.match(r"option\.mediaPass\.protocol: 'twillio'.*known are: .*twilio", fault)


@pytest.mark.parametrize("key", ["speaker", "voice"])
def test_voice_is_known_by_every_spelling(key: str) -> None:
    spoken = say(text="x", option={key: "v"})
    assert spoken.option is not None
    assert spoken.option.voice == "v"
    assert option(tts={key: "v"}).tts.voice == "v"


def test_speaker_of_the_command_goes_before_that_of_the_option() -> None:
    spoken = say(text="x", speaker="a", option={"speaker": "b"})
    assert spoken.option is not None
    assert spoken.option.voice == "a"


@pytest.mark.parametrize("key", ["endOfStream", "end_of_stream"])
def test_end_of_stream_is_known_by_every_spelling(key: str) -> None:
    assert say(**{key: True}).end_of_stream


def test_base64_text_is_audio() -> None:
    assert say(text=base64.b64encode(b"\1\2").decode(), base64=True).pcm == b"\1\2"
    with pytest.raises(CommandRejected, match="base64"):
        say(text="@@@", base64=True)


@pytest.mark.parametrize(
    "message",
    [
        {
            "command": "candidate",
            "candidates": ["candidate:1", {"candidate": "x", "sdpMid": "0", "sdpMLineIndex": 0}],
        },
        {"command": "addIceCandidate", "candidate": "x", "sdpMid": "0", "sdpMlineIndex": 0},
        {"command": "addIceCandidate", "candidate": {"candidate": "x", "sdpMid": "0", "sdpMLineIndex": 0}},
        {"command": "candidate", "candidate": "x", "sdpMid": "0", "sdpMLineIndex": 0},
    ],
)
def test_candidates_are_known_in_every_form(message: dict[str, object]) -> None:
    command = parse(json.dumps(message))
    assert isinstance(command, c.AddCandidates)
    last = command.candidates[-1]
    assert (last.text, last.mid, last.line) == ("x", "0", 0)


def test_refer_takes_target_for_callee() -> None:
    command = parse(
        '{"command":"refer","target":"echo","options":{"timeout":5,"moh":"http://x","autoHangup":false}}'
    )
    assert command == c.Refer(callee="echo", timeout_s=5.0, moh="http://x", auto_hangup=False)


def test_unknown_keys_are_ignored() -> None:
    assert parse('{"command":"interrupt","callType":"sip","later":{"a":1}}') == c.Interrupt()


@pytest.mark.parametrize(("wire", "off"), [(False, True), (True, False), (None, False), ({}, False)])
def test_vad_is_on_unless_switched_off(wire: object, off: bool) -> None:
    assert option(vad=wire).vad.off is off


@pytest.mark.parametrize(
    ("wire", "server"), [(True, True), ({"mode": "server"}, True), ({"mode": "client"}, False), (None, False)]
)
def test_barge_in_is_the_servers_only_where_asked(wire: object, server: bool) -> None:
    assert option(bargeIn=wire).barge_in.server is server


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "JSON"), ('"invite"', "object"), ("{}", "command"), ('{"command":1}', "command"),
        ("[" * 100_000, "deep"),
        ('{"command":"x","v":1e999}', "JSON"), ('{"command":"ttts"}', "did you mean 'tts'"),
        ('\ufeff{"command":"hangup"}', "JSON"), ('{"command":"invite","option":{"offer":[]}}', "offer"),
        ('{"command":"play"}', "url"), ('{"command":"tts","text":"\\ud800"}', "JSON"),
        ('{"command":"dtmf","digits":"9a9x"}', "digits"),
        ('{"command":"invite","option":{"codec":7}}', "codec"),
        ('{"command":"invite","option":7}', "option"),
        ('{"command":"accept","option":{"callee":[]}}', "callee"),
        (json.dumps({"command": "tts", "option": {"a": [[[[[0]]]]] }}), ""),
    ],
)  # fmt: skip
def test_nonsense_is_rejected_by_name(text: str, named: str) -> None:
    if not named:
        parse(text)
        return
    with pytest.raises(CommandRejected, match=named):
        parse(text)


def test_rejection_carries_the_request_id() -> None:
    with pytest.raises(CommandRejected) as caught:
        parse('{"command":"play","requestId":"r7"}')
    assert caught.value.request_id == "r7"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_NAMES = ["invite", "tts", "play", "candidate", "collect", "refer", "hangup", "mute", "offer", "custom"]
_KEYS = [
    "option",
    "text",
    "url",
    "candidates",
    "offer",
    "callee",
    "playId",
    "codec",
    "asr",
    "vad",
    "timeoutMs",
]


@pytest.mark.parametrize("name", ["P-Asserted-Identity", "remote-party-id", "PRIVACY", "b", "X-P-A-I: 1"])
@pytest.mark.parametrize(
    "command",
    [
        {"command": "hangup", "headers": {}},
        {"command": "refer", "callee": "b", "options": {"sip": {"headers": {}}}},
    ],
)
def test_headers_of_the_switch_are_refused_by_name_wherever_a_client_may_set_some(
    command: dict[str, object], name: str
) -> None:
    text = json.dumps(command).replace('"headers": {}', json.dumps({"headers": {name: "x"}})[1:-1])
    with pytest.raises(CommandRejected, match="headers: ") as told:
        parse(text)
    assert name in words(told.value.rejection)


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        (
            {"bargeIn": {"mode": "loud"}},
            ["option.bargeIn.mode: 'loud' is not one of client, off, server; the default is used"],
        ),
        (
            {"vad": {"voiceThreshold": 7}, "samplerate": 7},
            [
                "option.samplerate: 7 is not one of 8000, 16000, 24000, 48000; the default is used",
                "option.vad.voiceThreshold: 7 is not a number from 0 to 1; the default is used",
            ],
        ),
        ({"denoise": "loud"}, ["option.denoise: 'loud' is not true or false; the default is used"]),
        ({"sip": {"password": 7}}, ["option.sip.password: '***' is not a text of at most 1024 characters"]),
        ({"mediaPass": {}}, ["option.mediaPass: Object missing required field `url`; the default is used"]),
        ({"mediaPass": {"url": "http://x"}}, ["option.mediaPass.url must start with ws:// or wss://"]),
        ({"handshakeTimeout": "soon"}, ["option.handshakeTimeout: 'soon' is not a number of seconds"]),
        ({"sip": {"headers": {"Privacy": "x"}}}, ["headers: 'Privacy' is written by the switch alone"]),
        ({"asr": {"language": "auto"}, "vad": {"type": "off"}}, []),
    ],
)
def test_wrong_option_beyond_the_document_is_named_and_the_call_goes_on(
    given: dict[str, object], faults: list[str]
) -> None:
    command = parse(json.dumps({"command": "invite", "option": {"caller": "a", **given}}))
    assert isinstance(command, c.Invite)
    assert command.option.caller == "a"
    found = sorted(command.option.faults)
    assert len(found) == len(faults)
    assert all(one.startswith(fault) for one, fault in zip(found, faults, strict=True)), found
    assert not command.option.headers


def test_option_with_too_many_faults_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tolerance, "MAX_FAULTS", 1)
    with pytest.raises(CommandRejected, match=r"option\.vad"):
        parse(json.dumps({"command": "invite", "option": {"samplerate": 7, "vad": 7}}))


def test_text_is_an_alias_of_the_body_of_a_message() -> None:
    assert parse('{"command":"message","text":"hi"}') == c.SendMessage(body="hi")
    assert parse('{"command":"message","text":"hi","body":"ho"}') == c.SendMessage(body="ho")


def test_hangup_may_end_the_referred_leg_alone() -> None:
    assert parse('{"command":"hangup","refer":true}') == c.Hangup(refer=True)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(_NAMES), st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=4))
def test_any_json_parses_or_is_rejected(name: str, body: dict[str, object]) -> None:
    text = json.dumps({"command": name, **body})
    try:
        command = parse(text)
    except CommandRejected as rejected:
        assert words(rejected.rejection)  # noqa: PT017  (either outcome will do)
    else:
        assert isinstance(command, c.CommandBase)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_rejected(data: bytes) -> None:
    with pytest.raises(CommandRejected):
        parse(data)


def test_every_command_of_the_wire_is_translated_by_one_of_the_tables() -> None:
    tables = [_SAME.keys(), _TRANSLATIONS.keys(), set(_WITH_OPTION.values())]
    assert set().union(*tables) == set(get_args(w.WireCommand))
    assert sum(map(len, tables)) == len(get_args(w.WireCommand))
    assert set(get_args(w.WireCommand)) == set(w.Command.__subclasses__())


@pytest.mark.parametrize("wire", _SAME, ids=lambda kind: kind.__name__)
def test_copied_command_has_the_fields_of_the_call_model(wire: type[w.Command]) -> None:
    names = {_OTHER_NAMES.get(name, name) for name in wire.__struct_fields__}
    assert names <= set(_SAME[wire].__struct_fields__)


def test_fields_with_another_name_are_copied() -> None:
    play = parse('{"command":"play","url":"http://x/a","waitInputTimeout":9,"requestId":"r"}')
    assert play == c.Play(url="http://x/a", wait_input_ms=9, request_id="r")
    assert parse('{"command":"interrupt","fadeOutMs":7}') == c.Interrupt(fade_ms=7)
    assert parse('{"command":"offer","offer":"v=0"}') == c.Offer(sdp="v=0")
    assert parse('{"command":"bridge","targetSessionId":"b"}') == c.Bridge(other="b")


@pytest.mark.parametrize("vad", ['{"type":"off"}', '{"type":"OFF"}', "false"])
def test_the_detector_off_switches_detection_off(vad: str) -> None:
    command = parse('{"command":"invite","option":{"vad":' + vad + "}}")
    assert isinstance(command, c.Invite)
    assert command.option.vad.off
