import pytest

from softswitch.errors import MalformedError
from softswitch.sip.syntax.headers import Headers, long_name


def test_names_are_found_in_any_case_and_keep_their_own():
    headers = Headers()
    headers.add("X-Custom", "1")
    headers.add("x-custom", "2")
    assert headers.get("X-CUSTOM") == headers["x-Custom"] == "1"
    assert headers.getlist("x-custom") == ["1", "2"]
    assert headers.keys() == ["X-Custom"]
    assert "x-cUSTOM" in headers
    assert str(headers) == "X-Custom: 1\r\nX-Custom: 2\r\n\r\n"


def test_what_is_not_there_is_none_or_a_key_error():
    headers = Headers()
    assert headers.get("Via") is None
    assert headers.get("Via", "none") == "none"
    assert headers.getlist("Via") == []
    headers.remove("Via")
    with pytest.raises(KeyError):
        headers["Via"]


def test_setting_keeps_the_place_and_an_empty_list_removes():
    headers = Headers()
    headers.add("Via", "1")
    headers.add("To", "2")
    headers.set("VIA", "3")
    assert headers.items() == [("Via", "3"), ("To", "2")]
    headers.setlist("Via", [])
    assert headers.items() == [("To", "2")]


def test_a_list_that_was_given_can_be_changed_without_harm():
    headers = Headers()
    values = ["1"]
    headers.setlist("Via", values)
    values.append("2")
    headers.getlist("Via").append("3")
    copy = headers.copy()
    copy.add("Via", "4")
    assert headers.getlist("Via") == ["1"]


@pytest.mark.parametrize(("name", "value"), [("X", "a\nb"), ("X", "a\r"), ("X\r\nY", "a"), ("X: Y", "a")])
def test_a_line_break_is_refused(name: str, value: str):
    headers = Headers()
    with pytest.raises(MalformedError):
        headers.add(name, value)
    with pytest.raises(MalformedError):
        headers.set(name, value)


def test_compact_forms_are_made_long():
    assert [long_name(name) for name in ("v", "F", "i", "L", "Via", "z", "x")] == [
        "Via",
        "From",
        "Call-ID",
        "Content-Length",
        "Via",
        "z",
        "Session-Expires",
    ]
