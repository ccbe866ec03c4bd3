"""Reading bodies: everything that is wrong is named."""

import contextlib
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix.fields import InvalidError, read_body, read_object


class Body(msgspec.Struct, kw_only=True):
    name: str
    kind: Literal["a", "b"]
    count: Annotated[int, Meta(ge=1)] = 1
    flag: bool = False


def test_body_is_read_with_defaults_and_unknown_fields_ignored():
    body = read_body({"name": "x", "kind": "a", "more": 1, "count": None}, Body)
    assert (body.name, body.kind, body.count, body.flag) == ("x", "a", 1, False)


def test_numbers_and_flags_may_be_texts():
    body = read_body({"name": "x", "kind": "b", "count": "7", "flag": "true"}, Body)
    assert (body.count, body.flag) == (7, True)


def test_every_fault_is_named():
    with pytest.raises(InvalidError) as caught:
        read_body({"name": "", "kind": "c", "count": 0, "flag": []}, Body)
    assert set(caught.value.errors) == {"name", "kind", "count", "flag"}
    assert caught.value.errors["name"] == "This field is required"
    assert str(caught.value) == "Validation error"


@pytest.mark.parametrize("data", [b"", b"  \n"])
def test_nothing_is_an_empty_object(data):
    assert read_object(data) == {}


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=100))
def test_any_bytes_are_an_object_or_invalid(data):
    with contextlib.suppress(InvalidError):
        assert isinstance(read_object(data), dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KINDS = [q.Originate, q.StartStream, q.Answer, q.Play, q.Speak, q.Transfer, q.Collect, q.NewWebhook, q.Update]


@settings(deadline=None, max_examples=150)
@given(kind=st.sampled_from(KINDS), data=st.data())
def test_any_object_is_a_request_or_invalid(kind, data):
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    body = data.draw(st.dictionaries(st.sampled_from(names), JSON, max_size=6))
    with contextlib.suppress(InvalidError):
        assert isinstance(read_body(body, kind), kind)
