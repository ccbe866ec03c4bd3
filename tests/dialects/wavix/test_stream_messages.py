"""What a service may send, and the examples of the source documents."""

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.dialects.wavix import stream_messages as w
from softswitch.errors import MalformedError
from tests.conftest import ROOT
from tests.support.schema import ASYNCAPI, faults, message_faults, source

SPEC = ROOT.parent / "shared" / "spec"
here = pytest.mark.skipif(not ASYNCAPI.exists(), reason="the source documents are not here")
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
        b'{"event":"media","media":{"payload":"AAA"}}',
        b'{"event":"mark","mark":{"name":5}}',
        b'{"event":"mark","mark":{"name":"' + b"x" * 1025 + b'"}}',
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
    if not ASYNCAPI.exists():
        return
    document = source()
    for message in document["components"]["messages"].values():
        yield from (example["payload"] for example in message["examples"])
    for schema in document["components"]["schemas"].values():
        if "event" in schema.get("example", {}):
            yield schema["example"]
    text = (SPEC / "wavix-call-streaming-messages.txt").read_text(encoding="utf-8")
    decoder = json.JSONDecoder()
    for place in re.finditer(r'\{\s*"event"', text):
        yield decoder.raw_decode(text[place.start() :])[0]


EXAMPLES = list(examples())
INCOMING = [one for one in EXAMPLES if "event_time" not in one]
OUTGOING = [one for one in EXAMPLES if "event_time" in one]


@here
def test_documents_were_read():
    assert (len(INCOMING), len(OUTGOING)) == (12, 19)


@here
@pytest.mark.parametrize("example", INCOMING, ids=lambda example: example["event"])
def test_incoming_example_is_read_as_it_stands(example):
    if example["event"] == "media":
        # The documents shorten the payload with dots, which is no base64.
        example = {**example, "media": {"payload": "AAEC/f7="}}
    message = w.read(json.dumps(example).encode())
    assert message.stream_id == "str-456"
    kinds = {"media": w.PlayMedia, "mark": w.PlaceMark, "clear": w.Clear}
    assert isinstance(message, kinds[example["event"]])


@here
@pytest.mark.parametrize("example", OUTGOING, ids=lambda example: example["event"])
def test_outgoing_example_has_the_fields_of_ours(example):
    ours = {"connected": w.Connected, "start": w.Start, "media": w.Media, "mark": w.Mark, "stop": w.Stop}
    message = msgspec.convert(example, ours[example["event"]])
    assert msgspec.to_builtins(message) == example
    assert message_faults(example, source()) == []


@here
def test_schemas_of_what_may_come_take_ours():
    document = source()
    schemas = document["components"]["schemas"]
    assert faults({"event": "clear"}, schemas["ClearEvent"], document) == []
    assert faults({"event": "media"}, schemas["IncomingMediaEvent"], document) == ["$ has no media"]
