"""What a service may send, and the examples of the source documents."""

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.errors import MalformedError
from softswitch.protocol import wavix_stream as w
from tests.conftest import data_path
from tests.support.schema import faults, message_faults, source

SOUND = base64.b64encode(b"\1\0\2\0").decode()


def encoded(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_media_is_read_with_and_without_an_id():
    assert w.read(encoded(event="media", media={"payload": SOUND})) == w.PlayMedia(media=w.Sound(b"\1\0\2\0"))
    with_id = w.read(encoded(event="media", stream_id="s", media={"payload": SOUND}, more={"x": [1]}))
    assert with_id.stream_id == "s"


def test_mark_clear_and_hangup_are_read():
    assert w.read(encoded(event="mark", mark={"name": "a"})) == w.PlaceMark(mark=w.NamedMark("a"))
    assert w.read(encoded(event="clear")) == w.Clear()
    assert w.read(encoded(event="hangup", stream_id=None)) == w.HangUp()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"event":"media"',
        b'{"event":"media"}',
        b'{"event":"media","media":{}}',
        b'{"event":"media","media":{"payload":7}}',
        b'{"event":"media","media":{"payload":"=bad="}}',
        b'{"event":"media","media":{"payload":"AAAAA"}}',
        b'{"event":"mark","mark":{"name":5}}',
        b'{"event":"mark","mark":{"name":"' + b"x" * 16_385 + b'"}}',
        b'{"event":"dance"}',
        b'{"media":{"payload":"AAAA"}}',
        b'{"event":"clear","stream_id":7}',
        b'{"event":"media","media":{"payload":"\xff"}}',
        b'{"event":"clear","x":' + b"[" * 100_000,
    ],
)
def test_junk_is_malformed_and_nothing_worse(data):
    with pytest.raises(MalformedError):
        w.read(data)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(data):
    with contextlib.suppress(MalformedError):
        w.read(data)


# --- the source documents -----------------------------------------------------------------


def examples() -> Iterator[dict[str, Any]]:
    """Yield every example of the AsyncAPI and of the page of messages."""
    document = source()
    for message in document["components"]["messages"].values():
        yield from (example["payload"] for example in message["examples"])
    for schema in document["components"]["schemas"].values():
        if "event" in schema.get("example", {}):
            yield schema["example"]
    text = data_path("documents", "wavix_stream_examples.json").read_text(encoding="utf-8")
    yield from json.loads(text)


EXAMPLES = list(examples())
INCOMING = [one for one in EXAMPLES if "event_time" not in one]
OUTGOING = [one for one in EXAMPLES if "event_time" in one]


def test_documents_were_read():
    assert (len(INCOMING), len(OUTGOING)) == (12, 19)


@pytest.mark.parametrize("example", INCOMING, ids=lambda example: example["event"])
def test_incoming_example_is_read_as_it_stands(example):
    if example["event"] == "media":
        # The documents shorten the payload with dots, which is no base64.
        example = {**example, "media": {"payload": "AAEC/f7="}}
    message = w.read(json.dumps(example).encode())
    assert message.stream_id == "str-456"
    kinds = {"media": w.PlayMedia, "mark": w.PlaceMark, "clear": w.Clear}
    assert isinstance(message, kinds[example["event"]])


@pytest.mark.parametrize("example", OUTGOING, ids=lambda example: example["event"])
def test_outgoing_example_has_the_fields_of_ours(example):
    local = {"connected": w.Connected, "start": w.Start, "media": w.Media, "mark": w.Mark, "stop": w.Stop}
    message = msgspec.convert(example, local[example["event"]])
    assert msgspec.to_builtins(message) == example
    assert message_faults(example, source()) == []


def test_schemas_of_what_may_come_take_ours():
    document = source()
    schemas = document["components"]["schemas"]
    assert faults({"event": "clear"}, schemas["ClearEvent"], document) == []
    assert faults({"event": "media"}, schemas["IncomingMediaEvent"], document) == ["$ has no media"]


@pytest.mark.parametrize("payload", ["_-8AAQ==", "_-8AAQ", "/+8AAQ", "/+8A\\r\\nAQ==\\n"])
def test_audio_is_read_in_every_form_of_base64(payload):
    message = w.read(b'{"event":"media","stream_id":"s","media":{"payload":"%b"}}' % payload.encode())
    assert message == w.PlayMedia(media=w.Sound(b"\xff\xef\x00\x01"), stream_id="s")


def test_long_name_of_a_mark_is_taken():
    name = "x" * 16_000
    message = w.read(b'{"event":"mark","mark":{"name":"%b"}}' % name.encode())
    assert message == w.PlaceMark(mark=w.NamedMark(name))
