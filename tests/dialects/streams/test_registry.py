"""The registry of stream dialects."""

from pathlib import Path
from typing import get_args

import pytest

from softswitch.call.interfaces import StreamRequest
from softswitch.call.vocabulary.commands import StreamOption
from softswitch.dialects.streams import stream_dialects, stream_faults
from softswitch.errors import SettingsError
from softswitch.legs.stream import dialect as d
from softswitch.settings import Route, Settings, Stream
from tests.conftest import ROOT

REQUEST = StreamRequest("call", "stream", "ws://bot.example/", two_way=True, channel="inbound")


def test_default_protocol_is_registered():
    dialects = stream_dialects(Settings())
    assert StreamOption("ws://x/").protocol in dialects
    assert REQUEST.protocol in dialects


def test_traits_of_every_dialect_are_ones_that_the_client_can_serve():
    for name, dialect in stream_dialects(Settings()).items():
        traits = dialect.open(REQUEST).traits
        for form in (traits.sends, traits.receives):
            assert form.encoding in get_args(d.Encoding), name
            assert form.encoding == "pcm16" or form.sample_rate == 8000, name
            assert 8000 <= form.sample_rate <= 48000, name
        assert traits.frame_ms > 0, name
        assert traits.frame_ms % 20 == 0, name


def test_unknown_protocol_is_named_with_the_known_ones():
    faults = stream_faults(StreamOption("ws://x/", protocol="twillio"))
    assert list(faults) == ["protocol"]
    assert "twillio" in faults["protocol"]
    assert all(name in faults["protocol"] for name in stream_dialects(Settings()))


@pytest.mark.parametrize(
    ("option", "field"),
    [
        (StreamOption("ws://x/", protocol="wavix", sample_rate=8000), "stream_sample_rate"),
        (StreamOption("ws://x/", protocol="twilio", encoding="pcm16"), "stream_encoding"),
        (StreamOption("ws://x/", protocol="raw", channel="both"), "stream_channel"),
    ],
)
def test_what_a_dialect_cannot_carry_is_named_by_field(option, field):
    assert list(stream_faults(option)) == [field]


def test_every_dialect_carries_a_plain_two_way_stream():
    for name in stream_dialects(Settings()):
        assert stream_faults(StreamOption("ws://x/", two_way=True, protocol=name)) == {}, name


@pytest.mark.parametrize(
    "settings",
    [
        Settings(stream=(Stream(protocol="twillio"),)),
        Settings(route=(Route(match=".*", to="stream:ws://x/", protocol="twillio"),)),
    ],
)
def test_unknown_protocol_in_the_settings_is_refused(settings):
    with pytest.raises(SettingsError, match=r"1 protocol: 'twillio' is unknown, known are .*twilio"):
        stream_dialects(settings)


def test_credentials_of_the_settings_reach_the_dialects():
    rows = (Stream(protocol="twilio", secret="s"),)
    session = stream_dialects(Settings(stream=rows))["twilio"].open(
        StreamRequest("call", "stream", "ws://x/", two_way=True, channel="inbound", protocol="twilio")
    )
    assert "X-Twilio-Signature" in session.handshake(d.Attempt(0, "")).headers


def test_dialect_touches_three_files():
    """Its module, its line in the registry, its test: nothing else in the switch names a protocol."""
    names = stream_dialects(Settings()).keys() - {"wavix", "raw"}  # The word "raw" has other meanings, too.
    sources = {path: path.read_text("utf-8") for path in (ROOT / "softswitch").rglob("*.py")}
    registry = Path("dialects/streams/__init__.py")
    for name in names:
        naming = {path for path, text in sources.items() if f'"{name}"' in text}
        assert naming == {ROOT / "softswitch" / registry}, name
        module = name.replace("-", "_")
        assert (ROOT / "softswitch" / registry.with_name(f"{module}.py")).is_file()
        assert (ROOT / "tests" / registry.with_name(f"test_{module}.py")).is_file()
        importing = {path for path, text in sources.items() if f"dialects.streams.{module} " in text}
        assert importing == {ROOT / "softswitch" / registry}, name
