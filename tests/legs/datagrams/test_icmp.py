"""ICMP errors, as written by hand and as the kernel gives them."""

import errno
import socket
import struct

import pytest

from softswitch.legs.datagrams.icmp import (
    MOST_ERRORS,
    SocketError,
    allow_fragments,
    ask_for_errors,
    clear_error,
    read_errors,
    socket_error,
)
from tests.support.icmp import bound, closed_port, may_be_split

PEER = ("192.0.2.7", 5060)
FAMILIES = (socket.AF_INET, socket.AF_INET6)


def entry(number: int, origin: int, icmp: int, code: int, info: int = 0) -> list[tuple[int, int, bytes]]:
    """Return the control message of one error: sock_extended_err, then the address of the router."""
    level, kind = (socket.IPPROTO_IPV6, 25) if origin == 3 else (socket.IPPROTO_IP, 11)
    return [(level, kind, struct.pack("=IBBBBII", number, origin, icmp, code, 0, info, 0) + bytes(16))]


@pytest.mark.parametrize(
    ("what", "number", "origin", "icmp", "code"),
    [
        ("unreachable", errno.ECONNREFUSED, 2, 3, 3),  # port unreachable
        ("unreachable", errno.EHOSTUNREACH, 2, 3, 1),
        ("unreachable", errno.ENETUNREACH, 2, 3, 0),
        ("unreachable", errno.ENOPROTOOPT, 2, 3, 2),
        ("unreachable", errno.EHOSTUNREACH, 2, 11, 0),  # the TTL ran out
        ("passing", errno.EHOSTUNREACH, 2, 11, 1),  # a fragment did not come
        ("passing", errno.EPROTO, 2, 12, 0),
        ("too_big", errno.EMSGSIZE, 2, 3, 4),
        ("unreachable", errno.ECONNREFUSED, 3, 1, 4),
        ("unreachable", errno.EACCES, 3, 1, 1),
        ("unreachable", errno.EHOSTUNREACH, 3, 3, 0),
        ("passing", errno.EHOSTUNREACH, 3, 3, 1),
        ("passing", errno.EPROTO, 3, 4, 1),
        ("too_big", errno.EMSGSIZE, 3, 2, 0),
        ("too_big", errno.EMSGSIZE, 1, 0, 0),  # the kernel itself
    ],
)
def test_errors_are_told_apart(what, number, origin, icmp, code):
    read = socket_error(entry(number, origin, icmp, code, 1200), PEER)
    assert read == SocketError(what, number, *PEER, mtu=1200 if what == "too_big" else 0)


@pytest.mark.parametrize("ancillary", [[], [(1, 2, bytes(16))], [(socket.IPPROTO_IP, 11, b"short")]])
def test_error_without_its_description_fails_no_peer(ancillary):
    assert socket_error(ancillary, PEER) == SocketError("passing", 0, *PEER)
    assert socket_error(ancillary, None).host == ""


@pytest.mark.parametrize("family", FAMILIES)
def test_kernel_names_the_peer_of_each_error(family):
    with closed_port(family) as one, closed_port(family) as other, bound(family) as udp:
        ask_for_errors(udp)
        for address in (one, other, one):
            clear_error(udp)
            udp.sendto(b"x", address)
        refused = [(error.kind, error.number, error.host, error.port) for error in read_errors(udp)]
        assert refused == [("unreachable", errno.ECONNREFUSED, *address) for address in (one, other, one)]
        assert read_errors(udp) == []
        assert clear_error(udp) == 0


def test_errors_are_read_in_bounded_portions():
    with closed_port() as closed, bound() as udp:
        ask_for_errors(udp)
        for _ in range(MOST_ERRORS + 5):
            clear_error(udp)
            udp.sendto(b"x", closed)
        assert [len(read_errors(udp)) for _ in range(3)] == [MOST_ERRORS, 5, 0]


def test_closed_socket_has_no_errors():
    udp = bound()
    udp.close()
    assert (clear_error(udp), read_errors(udp)) == (0, [])


@pytest.mark.parametrize("family", FAMILIES)
def test_datagrams_may_be_split(family):
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        allow_fragments(udp)
        assert may_be_split(udp)
