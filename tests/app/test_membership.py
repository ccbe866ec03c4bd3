"""The address of a machine for others."""

import socket

import pytest

from softswitch.app.membership import Membership, membership, refuse_public
from softswitch.bus.hub_bus import HubBus
from softswitch.errors import ListenError, SettingsError
from softswitch.settings import Settings
from tests.support.ports import free_port


def member(address):
    return Membership(HubBus("a.1", lambda data: True), "a", "secret", address=address)


async def test_workers_take_the_next_port_that_is_free():
    port = free_port()
    one, two = member(f"127.0.0.1:{port}"), member(f"127.0.0.1:{port}")
    try:
        one.bind()
        two.bind()
        addresses = [each.view("").address for each in (one, two)]
        assert addresses[0] == f"127.0.0.1:{port}"
        assert port < int(addresses[1].rpartition(":")[2]) < port + 64
    finally:
        for each in (one, two):
            for listening in each._listening:
                listening.close()


async def test_an_address_of_another_machine_is_refused():
    with pytest.raises(ListenError, match=r"192\.0\.2\.1"):
        member("192.0.2.1:8190").bind()


async def test_a_public_address_is_refused_and_what_has_none_is_not():
    with pytest.raises(SettingsError, match=r"8\.8\.8\.8.*not encrypted"):
        await refuse_public("address", "8.8.8.8")
    for host in ("127.0.0.1", "10.0.0.1", "fd00::1", "", "no-such-host.invalid"):
        await refuse_public("bus", host)


def test_a_process_that_is_alone_has_no_membership():
    assert membership(Settings(), None) is None


def test_internal_legs_are_taken_at_the_private_address():
    assert member("10.0.0.5:8190").internal_host == "10.0.0.5"
    assert member("").internal_host == "127.0.0.1"
    assert socket.has_ipv6 is not None
