"""Caller and callee as objects."""

import pytest

from softswitch.dialects.rustpbx.attendee import attendee


@pytest.mark.parametrize(
    ("name", "username", "realm"),
    [
        ("+4930123", "+4930123", ""),
        ("alice", "alice", ""),
        ("sip:alice@example.com", "alice", "example.com"),
        ('"Alice" <sips:alice:x@example.com:5061;transport=tls>', "alice", "example.com"),
        ("sip:example.com", "", "example.com"),
        ("sip:a@[::1]:5060", "a", "[::1]"),
        ("tel:+4930123", "+4930123", ""),
        ("room:lobby", "room:lobby", ""),
    ],
)
def test_name_is_split_into_user_and_host(name: str, username: str, realm: str) -> None:
    found = attendee(name)
    assert found is not None
    assert (found.username, found.realm, found.source) == (username, realm, name)


def test_empty_name_is_left_out() -> None:
    assert attendee("") is None
