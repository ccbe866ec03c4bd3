"""What may be dialled."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.egress.address import HTTP, MAX_URL, WEBSOCKET, check_address, networks, read_url
from softswitch.egress.errors import EgressRefused

NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_check_address_refuses_what_is_not_public_and_names_the_setting(text: str) -> None:
    with pytest.raises(EgressRefused, match=r"\[egress\] allow") as caught:
        check_address(ip_address(text), ())
    assert text not in str(caught.value), "a peer must not learn what a name resolved to"
    assert caught.value.field == "url"


@pytest.mark.parametrize("text", PUBLIC)
def test_check_address_passes_what_is_public(text: str) -> None:
    check_address(ip_address(text), ())


@pytest.mark.parametrize(
    ("text", "allow"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("::ffff:127.0.0.1", ["127.0.0.0/8"]),
        ("64:ff9b::10.0.0.1", ["10.0.0.0/8"]),
        ("2002:7f00:1::", ["2002::/16"]),
        ("fd00::1", ["10.0.0.0/8", "fd00::/8"]),
        ("10.9.9.9", ["10.0.0.1/8"]),
    ],
)
def test_check_address_passes_what_a_network_of_the_setting_has(text: str, allow: list[str]) -> None:
    check_address(ip_address(text), networks(allow))


def test_check_address_refuses_the_neighbours_of_an_allowed_network() -> None:
    with pytest.raises(EgressRefused):
        check_address(ip_address("10.0.1.1"), networks(["10.0.0.0/24"]))


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=200)
def test_check_address_is_no_laxer_for_an_address_in_ipv6_clothes(number: int) -> None:
    plain = _passes(IPv4Address(number))
    assert _passes(IPv6Address(0xFFFF << 32 | number)) == plain
    assert _passes(IPv6Address(0x64FF9B << 96 | number)) == plain
    assert not _passes(IPv6Address(0x2002 << 112 | number << 80))


def _passes(address: IPv4Address | IPv6Address) -> bool:
    try:
        check_address(address, ())
    except EgressRefused:
        return False
    return True


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "empty"),
        ("http://example.com/" + "a" * MAX_URL, "longer"),
        ("/etc/passwd", "must start with"),
        ("file:///etc/passwd", "must start with"),
        ("ftp://example.com/", "must start with"),
        ("ws://example.com/", "must start with"),
        ("data:audio/wav;base64,AAAA", "must start with"),
        ("subfile,,start,0,end,100,,:/etc/passwd", "must start with|cannot be read"),
        ("concat:a|b", "must start with|cannot be read"),
        ("http+unix://%2Frun%2Fdocker.sock/", "must start with|cannot be read"),
        ("http:///x", "host|read"),
        ("http:example.com", "host|read"),
        ("http://user@example.com/", "user name"),
        ("http://user:word@example.com/", "user name"),
        ("http://@example.com/", "user name"),
        ("http://:@example.com/", "user name"),
        ("http://example.com\\@127.0.0.1/", "backslash"),
        ("http:\\\\example.com/", "backslash"),
        ("http://example.com/ x", "space"),
        ("http://example.com/\r\nHost: x", "control"),
        ("http://example.com/\x00", "control"),
        (" http://example.com/", "space"),
        ("http://localhost./", "plain name"),
        ("http://example..com/", "plain name"),
        ("http://-x.com/", "plain name"),
        ("http://exa%6dple.com/", "plain name|read"),
        ("http://[fe80::1%25eth0]/", "IPv6|read"),
        ("http://[::1/", "read"),
        ("http://[v1.x]/", "IPv6|read|plain"),
        ("http://0/", "oddly"),
        ("http://2130706433/", "oddly"),
        ("http://0x7f000001/", "oddly"),
        ("http://0x7f.1/", "oddly"),
        ("http://127.1/", "oddly"),
        ("http://0177.0.0.1/", "oddly"),
        ("http://127.0.0.0x1/", "oddly"),
        ("http://1.2.3.4.5/", "oddly"),
        ("http://256.1.1.1/", "oddly"),
        ("http://example.com:99999/", "port|read"),
        ("http://example.com:0/", "port"),
        ("http://example.com:/", "port"),
        ("http://example.com:x/", "port|read"),
        ("http://example.com:-1/", "port|read"),
        ("http://example.com:22/", "port 22"),
        ("http://example.com:25/", "port 25"),
        ("http://example.com:5060/", "port 5060"),
        ("http://example.com:6667/", "port 6667"),
    ],
)
def test_read_url_refuses(url: str, reason: str) -> None:
    with pytest.raises(EgressRefused, match=reason):
        read_url(url, HTTP)


@pytest.mark.parametrize("host", ["\uff11\uff12\uff17.0.0.1", "127\u30020.0.1", "\u2460\u2461\u2466.0.0.1"])
def test_read_url_yields_the_plain_address_for_digits_of_other_scripts(host: str) -> None:
    try:
        url = read_url(f"http://{host}/", HTTP)
    except EgressRefused:
        return
    with pytest.raises(EgressRefused):
        check_address(ip_address(url.raw_host or ""), ())


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("http://example.com/a.mp3", "example.com", 80),
        ("https://EXAMPLE.com", "example.com", 443),
        ("https://a_b.example.com:8443/x?y=%2B#z", "a_b.example.com", 8443),
        ("http://8.8.8.8/", "8.8.8.8", 80),
        ("http://[2606:4700::1111]:8080/", "2606:4700::1111", 8080),
        ("http://xn--bcher-kva.example/", "xn--bcher-kva.example", 80),
        ("http://bücher.example/ü", "xn--bcher-kva.example", 80),
        ("HTTP://example.com/", "example.com", 80),
    ],
)
def test_read_url_reads(text: str, host: str, port: int) -> None:
    url = read_url(text, HTTP)
    assert ((url.raw_host or "").lower(), url.port) == (host, port)


def test_read_url_keeps_the_spelling_of_a_signed_query() -> None:
    text = "https://example.com/a%20b?sig=a%2Bb%3D&x=%7e+"
    assert str(read_url(text, HTTP)) == text


def test_read_url_lets_the_operator_use_any_port() -> None:
    assert read_url("http://example.com:81/", HTTP, trusted=True).port == 81


def test_read_url_reads_websockets_where_they_fit() -> None:
    assert read_url("wss://example.com/x", WEBSOCKET).port == 443
    with pytest.raises(EgressRefused, match="ws://"):
        read_url("https://example.com/x", WEBSOCKET)


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=300)
def test_read_url_refuses_or_reads_whatever_it_gets(tail: str) -> None:
    try:
        url = read_url("http://" + tail, HTTP)
    except EgressRefused:
        return
    assert (url.raw_host or "").isascii()
    assert url.raw_user is None
