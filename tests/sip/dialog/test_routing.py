"""Where requests within a dialog go to."""

import pytest

from softswitch.sip.dialog.routing import contact_uri, flow_for, flow_to, next_hop
from softswitch.sip.syntax.field_values import parse_address
from softswitch.sip.syntax.uri import parse_uri
from softswitch.sip.transaction.flow import Flow

UDP = Flow("udp", "203.0.114.1", 5060, 0, "198.51.101.1", 5060)
TCP = Flow("tcp", "203.0.114.1", 40000, 9, "198.51.101.1", 5060)
LOOP = Flow("udp", "127.0.7.4", 5060, 0, "127.0.7.3", 5060)
PHONE = Flow("wss", "203.0.114.1", 40000, 9, "198.51.101.1", 443)


def route(text):
    return parse_address(text, "Route")


def test_loose_router_stays_in_the_route():
    target = parse_uri("sip:b@10.0.0.2")
    routes = [route("<sip:p1;lr>"), route("<sip:p2;lr>")]
    uri, written, hop = next_hop(routes, target)
    assert (str(uri), [str(one) for one in written], str(hop)) == (
        "sip:b@10.0.0.2",
        ["<sip:p1;lr>", "<sip:p2;lr>"],
        "sip:p1;lr",
    )


def test_strict_router_takes_the_place_of_the_target():
    target = parse_uri("sip:b@10.0.0.2")
    uri, written, hop = next_hop([route("<sip:p1>"), route("<sip:p2;lr>")], target)
    assert (str(uri), [str(one) for one in written], str(hop)) == (
        "sip:p1",
        ["<sip:p2;lr>", "<sip:b@10.0.0.2>"],
        "sip:p1",
    )


def test_no_router_sends_to_the_target():
    target = parse_uri("sip:b@10.0.0.2")
    assert next_hop([], target) == (target, [], target)


@pytest.mark.parametrize(
    ("flow", "uri", "nat", "where"),
    [
        (UDP, "sip:b@203.0.114.1", False, ("udp", "203.0.114.1", 5060, 0)),
        (UDP, "sip:b@203.0.114.1:5080", False, ("udp", "203.0.114.1", 5080, 0)),
        (UDP, "sip:b@203.0.115.7", False, ("udp", "203.0.115.7", 5060, 0)),
        (UDP, "sip:b@gateway.example.org", False, ("udp", "gateway.example.org", 5060, 0)),
        (UDP, "sip:b@203.0.115.7;transport=tcp", False, ("tcp", "203.0.115.7", 5060, 0)),
        (UDP, "sips:b@203.0.115.7", False, ("tls", "203.0.115.7", 5061, 0)),
        (UDP, "sip:b@192.168.1.7", False, ("udp", "203.0.114.1", 5060, 0)),
        (UDP, "sip:b@203.0.115.7", True, ("udp", "203.0.114.1", 5060, 0)),
        (UDP, "tel:+4930123", False, ("udp", "203.0.114.1", 5060, 0)),
        (LOOP, "sip:b@172.17.0.2", False, ("udp", "127.0.7.4", 5060, 0)),
        (LOOP, "sip:b@127.0.7.9:5070", False, ("udp", "127.0.7.9", 5070, 0)),
        (TCP, "sip:b@203.0.114.1:5060;transport=tcp", False, ("tcp", "203.0.114.1", 40000, 9)),
        (TCP, "sip:b@203.0.115.7;transport=tcp", False, ("tcp", "203.0.115.7", 5060, 0)),
        (TCP, "sip:b@192.168.1.7;transport=tcp", True, ("tcp", "203.0.114.1", 40000, 9)),
        (PHONE, "sip:x8s@7dfjk.invalid;transport=ws", False, ("wss", "203.0.114.1", 40000, 9)),
        (PHONE, "sip:b@10.9.9.9;transport=ws", False, ("wss", "203.0.114.1", 40000, 9)),
    ],
)
def test_requests_follow_the_contact_where_it_can_be_meant(flow, uri, nat, where):
    found = flow_to(parse_uri(uri), flow, behind_nat=nat)
    assert (found.transport, found.host, found.port, found.connection) == where
    assert found.local_host == "198.51.101.1" or flow is LOOP


@pytest.mark.parametrize(
    ("flow", "user", "text"),
    [
        (UDP, "100", "sip:100@198.51.101.1:5060"),
        (UDP, "", "sip:198.51.101.1:5060"),
        (TCP, "a b", "sip:a%20b@198.51.101.1:5060;transport=tcp"),
        (PHONE, "1", "sip:1@198.51.101.1:443;transport=ws"),
        (Flow("udp", "::1", 5060, 0, "::2", 5062), "1", "sip:1@[::2]:5062"),
    ],
)
def test_contact_is_where_we_can_be_reached(flow, user, text):
    assert str(contact_uri(flow, user)) == text


def test_redirection_goes_to_the_address_named():
    found = flow_for(parse_uri("sip:b@[2001:db9::1]:5070;transport=tcp"), UDP)
    assert (found.transport, found.host, found.port) == ("tcp", "2001:db9::1", 5070)
    assert flow_for(parse_uri("sip:b@c.example"), UDP).port == 5060


def test_maddr_takes_the_place_of_the_domain():
    uri = parse_uri("sip:anna@example.com;maddr=203.0.114.9")
    assert flow_to(uri, UDP).host == flow_for(uri, UDP).host == "203.0.114.9"
