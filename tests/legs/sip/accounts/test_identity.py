"""Numbers, names and further headers of a call."""

import pytest

from softswitch.legs.sip.accounts.identity import (
    checked,
    name_addr,
    number,
    read_callee,
    referable,
    sip_uri,
    user_of,
)
from softswitch.legs.sip.dial_error import DialError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("+49 (30) 123-45", "+493012345"), ("alice", "alice"), ("*21#", "*21#"), ("j.doe-2", "j.doe-2")],
)
def test_number_loses_what_makes_it_readable_and_a_name_nothing(text, expected):
    assert number(text) == expected


def test_user_part_is_found_in_any_address():
    assert user_of("sip:+4930;phone-context=x@host") == "+4930"
    assert user_of("tel:+49-30-1") == "+49301"
    assert user_of("alice") == "alice"
    assert user_of("sip:") == ""


def test_callee_that_is_no_uri_is_none_and_one_that_is_broken_is_refused():
    assert read_callee("123") is None
    assert str(read_callee("sip:a@b;transport=tcp")) == "sip:a@b;transport=tcp"
    with pytest.raises(DialError) as told:
        read_callee("sip:@@")
    assert told.value.code == 400


def test_address_of_a_user_escapes_what_would_break_it():
    assert sip_uri("a@b c", "host:5070") == "sip:a%40b%20c@host:5070"
    assert sip_uri("", "host") == "sip:host"


def test_display_name_is_quoted():
    assert name_addr("sip:a@b", 'A "B" \\ \r\nC') == '"A \\"B\\" \\\\ C" <sip:a@b>'


@pytest.mark.parametrize(
    "headers", [{"X-A": "b\r\nEvil: 1"}, {"X A": "b"}, {"": "b"}, {f"X-{n}": "b" for n in range(65)}]
)
def test_headers_that_would_write_other_lines_are_refused(headers):
    with pytest.raises(DialError, match="headers"):
        checked(headers)


def test_headers_are_taken_as_they_are():
    assert checked({"X-Call": "1", "Subject": "Grüße"}) == {"X-Call": "1", "Subject": "Grüße"}


@pytest.mark.parametrize(
    "name", ["P-Asserted-Identity", "p-asserted-identity", "Privacy", "Remote-Party-ID", "v"]
)
def test_header_of_the_switch_is_refused_by_name(name):
    with pytest.raises(DialError, match=f"headers: {name} may not be set"):
        checked({"X-A": "1", name: "<sip:boss@bank.example>"})


def test_headers_of_a_transfer_are_the_switch_s_unless_a_client_gives_them():
    given = {"Referred-By": "<sip:a@b>", "Replaces": "1;to-tag=2;from-tag=3"}
    assert checked(given) == given
    with pytest.raises(DialError, match="Referred-By"):
        checked(given, but=frozenset())


def test_target_of_a_refer_carries_no_identity():
    assert referable("sip:carol@host?Replaces=1") == "sip:carol@host?Replaces=1"
    assert referable("nonsense") == "nonsense"
    with pytest.raises(DialError, match="p-asserted-identity"):
        referable("<sip:carol@host?P-Asserted-Identity=%3Csip:boss@bank%3E>")
