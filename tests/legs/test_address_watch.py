"""Addresses of the machine: whether others can reach the switch, and what has changed."""

import pytest

from softswitch.legs.address_watch import TOLD_S, AddressWatch
from softswitch.settings import Http, Ice, Rtp, Settings, Sip

LOOPBACK = frozenset({"127.0.0.1", "::1", "fe80::1"})


class Machine:
    """A machine whose addresses the test sets."""

    def __init__(self, **sections):
        self.now = 0.0
        self.addresses = LOOPBACK
        self.told: list[frozenset[str]] = []
        self.watch = AddressWatch(
            Settings(**sections), self.told.append, find=lambda: self.addresses, clock=lambda: self.now
        )

    def has(self, *addresses):
        self.addresses = LOOPBACK | set(addresses)
        self.watch.look()


@pytest.mark.parametrize(
    "sections", [{"sip": Sip(host="0.0.0.0")}, {"rtp": Rtp(host="::")}, {"http": Http(host="0.0.0.0")}]
)
def test_switch_for_others_is_unready_until_there_is_a_network(sections):
    machine = Machine(**sections)
    assert not machine.watch.reachable()
    machine.has("10.0.0.5")
    assert machine.watch.reachable()
    machine.has("fd00::1")
    assert machine.watch.reachable()
    machine.has("169.254.0.9")
    assert not machine.watch.reachable()


@pytest.mark.parametrize("sections", [{}, {"sip": Sip(host="0.0.0.0", enabled=False)}])
def test_switch_on_loopback_needs_no_network(sections):
    assert Machine(**sections).watch.reachable()


def test_change_is_told_for_ten_minutes_and_to_followers():
    machine = Machine(sip=Sip(host="0.0.0.0"))
    machine.has("10.0.0.5")
    machine.has("10.0.0.5")
    machine.has("10.0.0.6")
    assert machine.told == [LOOPBACK | {"10.0.0.5"}, LOOPBACK | {"10.0.0.6"}]
    assert machine.watch.warnings() == [
        "own addresses have changed: 10.0.0.5 is new",
        "own addresses have changed: 10.0.0.5 is gone, 10.0.0.6 is new",
    ]
    machine.now = TOLD_S + 1
    assert machine.watch.warnings() == []


def test_fixed_addresses_that_are_not_there_are_named():
    machine = Machine(
        sip=Sip(host="10.0.0.5"), rtp=Rtp(host="0.0.0.0"), ice=Ice(host_addresses=("10.0.0.5", "10.0.0.7"))
    )
    machine.has("10.0.0.5")
    assert "[ice] host_addresses 2 10.0.0.7 is no address of this machine" in machine.watch.warnings()
    machine.has("10.0.0.7")
    lost = [text for text in machine.watch.warnings() if "no address" in text]
    assert lost == [
        "[sip] host 10.0.0.5 is no address of this machine",
        "[ice] host_addresses 1 10.0.0.5 is no address of this machine",
    ]
