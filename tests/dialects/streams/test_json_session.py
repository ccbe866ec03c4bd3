"""Reading the JSON messages of a service within bounds."""

import pytest

from softswitch.dialects.streams import json_session as j
from softswitch.errors import MalformedError


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a":[' + b"0," * 3000 + b"0]}", b"{" + b'"a":{' * 5000],
)
def test_garbage_is_malformed(data):
    with pytest.raises(MalformedError):
        j.read_object(data)


def test_texts_are_bounded_and_base64_is_checked():
    assert j.text({"name": "a" * j.MAX_NAME}, "name")
    with pytest.raises(MalformedError, match="name: "):
        j.text({"name": "a" * (j.MAX_NAME + 1)}, "name")
    with pytest.raises(MalformedError, match="payload: "):
        j.audio({"payload": "===="})
    with pytest.raises(MalformedError, match="media: "):
        j.child({}, "media")
