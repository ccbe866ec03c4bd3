import pytest

from softswitch.sip.syntax.field_values import (
    parse_address,
    parse_addresses,
    parse_media_type,
    parse_via,
    parse_vias,
    seconds,
)
from softswitch.sip.syntax.grammar import MalformedError


@pytest.mark.parametrize(
    ("text", "name", "uri", "parameters"),
    [
        ("<sip:a@b>", "", "sip:a@b", {}),
        ('"A. B, \\"C\\"" <sip:a@b;lr>;tag=1', 'A. B, "C"', "sip:a@b;lr", {"tag": "1"}),
        ("caller<sip:a@b>;tag=1", "caller", "sip:a@b", {"tag": "1"}),
        ("Two Words  <sip:a@b>", "Two Words", "sip:a@b", {}),
        ("Jörg <sip:a@b>", "Jörg", "sip:a@b", {}),
        ("sip:a@b;tag=1", "", "sip:a@b", {"tag": "1"}),
        ("sip:a@b:5060 ; tag = 1", "", "sip:a@b:5060", {"tag": "1"}),
        ('"" <sip:a@b>', "", "sip:a@b", {}),
        ("100@pbx: (desk) <sip:a@b>", "100@pbx: (desk)", "sip:a@b", {}),
        ("<tel:+491>", "", "tel:+491", {}),
    ],
)
def test_an_address_is_read(text: str, name: str, uri: str, parameters: dict[str, str | None]):
    found = parse_address(text)
    assert (found.name, str(found.uri), dict(found.parameters)) == (name, uri, parameters)
    again = parse_address(str(found))
    assert again == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<>",
        "<sip:a@b",
        "sip:a@b>",
        "< sip:a@b >",
        '"open <sip:a@b>',
        "a, b <sip:a@b>",
        "<sip:a@b> tail",
        "sip:a@b?x=y",
        "sip:a@b,sip:c@d",
        "<sip:a@b>;",
        '"a" "b" <sip:a@b>',
        "*",
        "name",
    ],
)
def test_what_is_no_address_is_malformed(text: str):
    with pytest.raises(MalformedError):
        parse_address(text)


def test_addresses_of_several_lines_are_one_list():
    found = parse_addresses(['"a,b" <sip:a@b>, <sip:c@d>', "sip:e@f"], "Contact")
    assert [str(one.uri) for one in found] == ["sip:a@b", "sip:c@d", "sip:e@f"]
    assert parse_addresses([], "Contact") == []
    with pytest.raises(MalformedError):
        parse_addresses(["<sip:a@b>"] * 51, "Contact")


@pytest.mark.parametrize(
    ("text", "transport", "host", "port"),
    [
        ("SIP/2.0/UDP example.com;branch=z9hG4bK1", "UDP", "example.com", None),
        ("SIP / 2.0 / tcp   [2001:db8::1] : 5060 ;branch=z9hG4bK1", "TCP", "[2001:db8::1]", 5060),
        ("sip/2.0/wss df7jal23ls0d.invalid;branch=z9hG4bK1;rport", "WSS", "df7jal23ls0d.invalid", None),
        ("SIP/2.0/UDP my_container:5060;branch=z9hG4bK1", "UDP", "my_container", 5060),
    ],
)
def test_a_via_is_read(text: str, transport: str, host: str, port: int | None):
    found = parse_via(text)
    assert (found.transport, found.host, found.port) == (transport, host, port)
    assert found.parameters["branch"] == "z9hG4bK1"
    assert parse_via(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/7.0/UDP a",
        "SIP/2.0 a",
        "SIP/2.0/UDP a:70000",
        "SIP/2.0/UDP a;;b",
        "SIP/2.0/UDP a b",
        "SIP/2.0/UDP [::1",
    ],
)
def test_what_is_no_via_is_malformed(text: str):
    with pytest.raises(MalformedError):
        parse_via(text)


def test_vias_of_several_lines_are_one_list():
    assert [via.host for via in parse_vias(['SIP/2.0/UDP a, SIP/2.0/UDP b;x=","', "SIP/2.0/UDP c"])] == [
        "a",
        "b",
        "c",
    ]


def test_seconds_are_read_before_parameters_and_bounded():
    assert seconds("1800;refresher=uac") == 1800
    assert seconds("9" * 5000) == 2**32 - 1
    assert seconds(None) is None
    assert seconds("-5") is None


@pytest.mark.parametrize(
    ("text", "kind", "parameters"),
    [
        ("application/SDP", "application/sdp", {}),
        ("multipart/mixed;boundary=a", "multipart/mixed", {"boundary": "a"}),
        ('text / plain ; charset="utf-8"', "text/plain", {"charset": "utf-8"}),
    ],
)
def test_a_media_type_is_read(text: str, kind: str, parameters: dict[str, str]):
    found = parse_media_type(text)
    assert (found.mime_type, dict(found.parameters)) == (kind, parameters)


@pytest.mark.parametrize("text", ["", "application", "application/", "a/b c", "a/b;"])
def test_what_is_no_media_type_is_malformed(text: str):
    with pytest.raises(MalformedError):
        parse_media_type(text)
