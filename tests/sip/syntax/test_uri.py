import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.sip.syntax import uri
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.uri import URI, headers_of, number_of, parse_uri, same_uri


@pytest.mark.parametrize(
    "text",
    [
        "sip:example.com",
        "sips:alice:secret@example.com:5061;transport=tcp;lr",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sip:alice;day=tuesday@atlanta.com",
        "sip:[2001:db8::1]:5060",
        "sip:user@192.0.2.1?Replaces=a%3Bto-tag%3Db&Subject=x",
        "tel:+49-30-123;ext=5",
        "isbn:2983792873",
        "http://www.example.com/a?b=c",
        "urn:service:sos",
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com",
    ],
)
def test_a_uri_is_written_as_it_was_read(text: str):
    assert str(parse_uri(text)) == text
    assert str(URI.parse(text)) == text


def test_a_star_code_is_read_though_it_should_be_escaped():
    found = parse_uri("sip:*21#@pbx")
    assert found.user == "*21#"
    assert str(found) == "sip:*21%23@pbx"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip:@example.com",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@c",
        "sip:a@b c",
        "<sip:a@b>",
        "sip:a@b:99999",
        "sip:a@b:123456",
        "sip:a@b:\u0661",
        "sip:a@[::1",
        "sip:a%4@b",
        "sip:a@b;",
        "sip:a@b;x=1;x=2",
        "sip:a@b?x=a b",
        "sip:\u00e9@b",
        "tel:abcxyz",
        "tel:",
        "isbn:",
        "isbn:a b",
        ":a",
        "1a:b",
        "a",
    ],
)
def test_what_is_no_uri_is_malformed(text: str):
    with pytest.raises(MalformedError):
        parse_uri(text)


def test_a_scheme_is_read_in_any_case():
    assert parse_uri("SIP:a@B").scheme == "sip"


@given(st.text(min_size=1, max_size=20), st.none() | st.text(max_size=10))
@settings(deadline=None, max_examples=100)
def test_any_user_and_password_come_back_from_the_wire(user: str, password: str | None):
    try:
        f"{user}{password}".encode()
    except UnicodeEncodeError:
        return
    written = str(URI(scheme="sip", host="example.com", user=user, password=password))
    read = parse_uri(written)
    assert (read.user, read.password) == (user, password)


def test_octets_that_are_no_utf_8_come_back_as_they_were():
    assert str(parse_uri("sip:%FFx@b")) == "sip:%FFx@b"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        ("sip:biloxi.com;transport=tcp;method=REGISTER", "sip:biloxi.com;method=register;transport=tcp"),
        ("tel:+1-212-555", "tel:+1212555"),
    ],
)
def test_uris_that_mean_the_same_are_the_same(one: str, other: str):
    assert same_uri(parse_uri(one), parse_uri(other))
    assert same_uri(parse_uri(other), parse_uri(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM", "sip:alice@AtLanTa.CoM"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;newparam=6"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("tel:+1212555", "tel:1212555"),
        ("tel:123;phone-context=a.com", "tel:123;phone-context=b.com"),
    ],
)
def test_uris_that_mean_another_are_not_the_same(one: str, other: str):
    assert not same_uri(parse_uri(one), parse_uri(other))
    assert not same_uri(parse_uri(other), parse_uri(one))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("sip:1001@example.com", "1001"),
        ("sip:+49-30-1;ext=5@example.com;user=phone", "+49301"),
        ("sip:a.b-c@example.com", "a.b-c"),
        ("tel:+49(30)12.3", "+4930123"),
        ("sip:example.com", ""),
        ("urn:service:sos", ""),
    ],
)
def test_the_number_that_was_dialled_is_told(text: str, number: str):
    assert number_of(parse_uri(text)) == number


def test_headers_of_a_uri_are_read_plain():
    found = headers_of(
        parse_uri("sip:a@b?Replaces=x%40y%3Bto-tag%3Dt%3Bfrom-tag%3Df&Subject=&=bad&alone&subject=2")
    )
    assert found == {"replaces": "x@y;to-tag=t;from-tag=f", "subject": ""}
    assert headers_of(parse_uri("tel:1")) == {}


def test_our_domains_are_told_from_others():
    annas = {"example.com", "192.0.2.1"}
    assert uri.is_domain_of(parse_uri("sip:a@Example.COM.:5070"), annas)
    assert uri.is_domain_of(parse_uri("sips:192.0.2.1"), annas)
    assert uri.is_domain_of(parse_uri("tel:123"), annas)
    assert not uri.is_domain_of(parse_uri("sip:a@example.org"), annas)
    assert not uri.is_domain_of(parse_uri("isbn:example.com"), annas)


@pytest.mark.parametrize("text", ["sip:A%20b@Example.com", "sips:A%20b@example.COM.:5061;transport=tls?x=y"])
def test_an_address_of_record_has_user_and_host_alone(text: str):
    assert uri.address_of_record(parse_uri(text)) == "sip:A%20b@example.com"
