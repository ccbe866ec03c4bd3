"""Commands from their text: spellings, bounds, and answers to nonsense."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.call import commands as c
from softswitch.call.commands import CommandRejected
from softswitch.dialects.rustpbx import parse


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


@pytest.mark.parametrize("key", ["samplerate", "sampleRate", "sample_rate"])
def test_sample_rate_is_known_by_every_spelling(key: str) -> None:
    assert option(**{key: 24000}).sample_rate == 24000


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
        ('{"command":"invite","option":{"samplerate":7}}', "samplerate"),
        ('{"command":"invite","option":{"mediaPass":{"url":"http://x"}}}', "mediaPass.url"),
        ('{"command":"invite","option":{"handshakeTimeout":"soon"}}', "handshakeTimeout"),
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


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(_NAMES), st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=4))
def test_any_json_parses_or_is_rejected(name: str, body: dict[str, object]) -> None:
    text = json.dumps({"command": name, **body})
    try:
        command = parse(text)
    except CommandRejected as rejected:
        assert rejected.error  # noqa: PT017  (either outcome will do)
    else:
        assert isinstance(command, c.Command)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_rejected(data: bytes) -> None:
    with pytest.raises(CommandRejected):
        parse(data)
