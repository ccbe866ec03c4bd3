"""The one spelling of a host."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from softswitch.sip.syntax.hosts import canonical, is_numeric


@pytest.mark.parametrize(
    "spelling",
    [
        "127.0.0.1", "127.0.0.1.", "[::ffff:127.0.0.1]", "::FFFF:7f00:1", "0:0:0:0:0:ffff:127.0.0.1", "127.1",
        "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "[::127.0.0.1]",
        "[64:ff9b::7f00:1]", " 127.0.0.1 ",
    ],
)  # fmt: skip
def test_every_spelling_of_an_address_is_that_address(spelling):
    assert canonical(spelling) == "127.0.0.1"
    assert is_numeric(spelling)


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("PBX.Example.ORG.", "pbx.example.org"), ("[2001:DB8:0::1]", "2001:db8::1"), ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"), ("::", "::"), ("256.1.1.1", "256.1.1.1"), ("0x", "0.0.0.0"),
        ("4294967296", "4294967296"), ("09.1.1.1", "09.1.1.1"), ("1.2.3.4.5", "1.2.3.4.5"), ("", ""),
        ("1e1", "1e1"),
    ],
)  # fmt: skip
def test_other_addresses_and_names_keep_what_they_are(spelling, expected):
    assert canonical(spelling) == expected


@given(st.text(max_size=60))
@example("0\r[")
@example("0 .%")
def test_one_spelling_stays_as_it_is(text):
    assert canonical(canonical(text)) == canonical(text)


@given(st.ip_addresses(v=4))
def test_forms_of_inet_aton_and_ipv6_are_one(address):
    number = int(address)
    forms = [str(number), hex(number), f"0{number:o}", f"::ffff:{address}", f"64:ff9b::{address}"]
    assert {canonical(form) for form in forms} == {str(address)}
