import base64
import hashlib
import hmac

import msgspec
import pytest

from softswitch.legs.webrtc.ice import (
    IceServerGrant,
    gather_servers,
    host_addresses,
    ice_servers,
    parse_ice_url,
    turn_credential,
)
from softswitch.settings import Ice, IceServer

CONFIGURED = Ice(
    stun=("stun:stun.example.org:3478",),
    turn_urls=("turn:turn.example.org:3478?transport=udp", "turns:turn.example.org"),
    turn_secret="s3cret",
    turn_ttl=600,
    server=(IceServer(("turn:other.example.org",), "fixed", "word"), IceServer(("stun:plain.example.org",))),
)


def test_ice_servers_are_empty_when_nothing_is_configured() -> None:
    assert ice_servers(Ice(), now=0.0) == ()


def test_ice_servers_leave_out_what_is_not_needed() -> None:
    wire = msgspec.json.decode(msgspec.json.encode(ice_servers(CONFIGURED, now=1000.5, user="alice")))
    assert wire[0] == {"urls": ["stun:stun.example.org:3478"]}
    assert wire[3] == {"urls": ["stun:plain.example.org"]}
    assert wire[2] == {"urls": ["turn:other.example.org"], "username": "fixed", "credential": "word"}
    assert wire[1]["username"] == "1600:alice"
    digest = hmac.new(b"s3cret", b"1600:alice", hashlib.sha1).digest()
    assert wire[1]["credential"] == base64.b64encode(digest).decode()


def test_turn_credential_keeps_its_two_parts_apart() -> None:
    assert turn_credential("x", "a:b c", 5)[0] == "5:a_b_c"


def test_secrets_do_not_show() -> None:
    shown = repr(ice_servers(CONFIGURED, now=0.0)) + repr(gather_servers(ice_servers(CONFIGURED, now=0.0)))
    assert "word" not in shown
    assert turn_credential("s3cret", "softswitch", 600)[1] not in shown


@pytest.mark.parametrize(
    ("url", "host", "port", "transport"),
    [
        ("stun:a.example", "a.example", 3478, "udp"),
        ("STUN:a.example:1", "a.example", 1, "udp"),
        ("turn:192.0.2.1:99?transport=tcp", "192.0.2.1", 99, "tcp"),
        ("turns:a.example", "a.example", 5349, "tcp"),
        ("turn:[2001:db8::1]:7", "2001:db8::1", 7, "udp"),
    ],
)
def test_parse_ice_url_reads_host_port_and_transport(url: str, host: str, port: int, transport: str) -> None:
    found = parse_ice_url(url)
    assert (found.host, found.port, found.transport) == (host, port, transport)


@pytest.mark.parametrize(
    "url", ["", "stun:", "http://a", "stun:a:0", "stun:a:99999", "turn:a?transport=sctp", "turn:a b"]
)
def test_parse_ice_url_refuses_what_is_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"stun:host|port"):
        parse_ice_url(url)


def test_gather_servers_takes_the_first_of_each_kind() -> None:
    found = gather_servers(ice_servers(CONFIGURED, now=0.0))
    assert found.stun == ("stun.example.org", 3478)
    assert found.turn is not None
    assert (found.turn.host, found.turn.port, found.turn.transport, found.turn.tls) == (
        "turn.example.org",
        3478,
        "udp",
        False,
    )
    assert found.turn.username == "600:softswitch"


def test_gather_servers_uses_turn_over_tls() -> None:
    found = gather_servers([IceServerGrant(("turns:a.example",), "u", "p")])
    assert found.turn is not None
    assert (found.turn.tls, found.turn.port) == (True, 5349)
    assert gather_servers([IceServerGrant(("stuns:a.example",))]).stun is None


def test_host_addresses_are_those_of_the_settings_alone() -> None:
    assert host_addresses(["127.0.0.1", "127.0.0.1"], ["192.0.2.1"], loopback=False) == ("127.0.0.1",)


def test_host_addresses_are_those_of_the_interfaces_and_loopback_last() -> None:
    found = ["127.0.0.1", "192.0.2.1", "fe80::1", "2001:db8::1", "192.0.2.1", "127.0.0.2"]
    assert host_addresses([], found, loopback=True) == ("192.0.2.1", "2001:db8::1", "127.0.0.1")
    assert host_addresses([], found, loopback=False) == ("192.0.2.1", "2001:db8::1")
    assert host_addresses([], ["127.0.0.1"], loopback=False) == ("127.0.0.1",)
    assert len(host_addresses([], [f"192.0.2.{n}" for n in range(50)], loopback=True)) == 8
