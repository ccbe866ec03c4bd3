"""The local address that a peer is given."""

import pytest

from softswitch.legs.sip.addressing import own_addresses
from softswitch.legs.sip.addressing.own_addresses import OwnAddresses
from softswitch.settings import Rtp, Sip


def own(rtp: Rtp | None = None, **sip) -> OwnAddresses:
    made = OwnAddresses(Sip(**sip), rtp or Rtp())
    made.ports = {"udp": 5060, "tcp": 5060, "tls": 5061}
    return made


@pytest.mark.parametrize(
    ("remote", "host"),
    [
        ("127.0.0.1", "192.168.1.5"),
        ("192.168.1.77", "192.168.1.5"),
        ("10.3.3.3", "192.168.1.5"),
        ("fd00::1", "192.168.1.5"),
        ("8.8.8.8", "pbx.example.org"),
        ("2001:4860::1", "pbx.example.org"),
    ],
)
def test_peers_beyond_private_networks_are_told_the_external_host(remote, host):
    addresses = own(host="192.168.1.5", external_host="pbx.example.org")
    assert addresses.signalling("udp", remote) == (host, 5060)


def test_ipv6_has_no_brackets_and_each_transport_its_port():
    addresses = own(host="::1")
    assert addresses.signalling("tls", "::1") == ("::1", 5061)
    assert addresses.signalling("ws", "::1") == ("::1", 0)


def test_socket_of_all_addresses_tells_the_one_that_leads_there():
    addresses = own(host="0.0.0.0")
    assert addresses.signalling("udp", "127.0.0.1") == ("127.0.0.1", 5060)


def test_media_are_announced_inside_by_the_address_inside():
    addresses = own(Rtp(host="127.0.0.1", external_ip="203.0.113.5"))
    assert addresses.media("127.0.0.9") == "127.0.0.1"
    assert addresses.media("8.8.8.8") == "203.0.113.5"
    assert own().media("127.0.0.9") == "127.0.0.1"


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("8.8.8.8", "203.0.113.5"),
        ("2606:4700::1", "2001:db8::5"),
        ("127.0.0.9", "127.0.0.9"),
        ("::1", "::1"),
        ("", "2001:db8::5"),
    ],
)
def test_each_peer_is_told_an_address_of_the_family_it_has(remote, address):
    addresses = own(Rtp(host="::", external_ip="203.0.113.5, 2001:db8::5"))
    assert addresses.media(remote) == address.replace("127.0.0.9", addresses.local_address_for("127.0.0.9"))


def test_changed_address_toward_a_known_peer_is_found(monkeypatch):
    addresses = own(host="0.0.0.0")
    routes = {"10.0.0.9": "10.0.0.1", "10.0.0.8": "10.0.0.1"}
    monkeypatch.setattr(own_addresses, "_route_source", routes.get)
    for remote in routes:
        assert addresses.signalling("udp", remote)[0] == "10.0.0.1"
    assert addresses.refresh() == []
    routes["10.0.0.9"] = "10.0.0.77"
    assert addresses.refresh() == [("10.0.0.9", "10.0.0.1", "10.0.0.77")]
    assert addresses.signalling("udp", "10.0.0.9")[0] == "10.0.0.77"


def test_external_host_of_another_family_is_told_to_no_peer():
    addresses = own(host="::", external_host="203.0.113.5")
    assert addresses.signalling("udp", "8.8.8.8")[0] == "203.0.113.5"
    assert addresses.signalling("udp", "2606:4700::1")[0] != "203.0.113.5"


@pytest.mark.parametrize(
    ("sip", "rtp", "bound"),
    [
        ("::", "0.0.0.0", "::"),
        ("::", "::", "::"),
        ("0.0.0.0", "0.0.0.0", "0.0.0.0"),
        ("::", "10.0.0.1", "10.0.0.1"),
    ],
)
def test_media_are_bound_to_both_families_where_sip_is(sip, rtp, bound):
    assert own(Rtp(host=rtp), host=sip).media_host == bound


def test_uris_of_our_names_and_addresses_mean_us():
    addresses = own(host="127.0.0.1", domains=("Example.org",), external_host="pbx.example.org")
    for host in ("example.org", "EXAMPLE.ORG", "pbx.example.org", "127.0.0.1", "localhost"):
        assert addresses.is_ours(host)
    assert addresses.is_ours("127.0.0.1", 5061)
    assert not addresses.is_ours("127.0.0.1", 5070)
    for host in ("example.com", "127.0.0.2", "8.8.8.8", "[::1]"):
        assert not addresses.is_ours(host)


def test_every_address_of_the_machine_means_us_where_all_are_listened_on():
    addresses = own(host="0.0.0.0")
    assert addresses.is_ours("127.0.0.1")
    assert not addresses.is_ours("8.8.8.8")
