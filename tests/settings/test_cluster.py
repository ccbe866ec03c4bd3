"""The sections of several processes and several machines."""

import pytest

from softswitch.errors import SettingsError
from softswitch.settings import load

GOOD = {
    "SOFTSWITCH_CLUSTER_BUS": "redis://127.0.0.1/0",
    "SOFTSWITCH_CLUSTER_ADDRESS": "10.0.0.1:8190",
    "SOFTSWITCH_CLUSTER_SECRET": "x" * 32,
}


def test_workers_are_a_number_or_that_of_the_cores():
    assert load(environ={}).server.count() == 1
    assert load(environ={"SOFTSWITCH_SERVER_WORKERS": "3"}).server.count() == 3
    assert load(environ={"SOFTSWITCH_SERVER_WORKERS": "auto"}).server.count() >= 1


def test_a_cluster_needs_a_bus_an_address_and_a_secret():
    assert load(environ=GOOD).cluster.bus
    assert "x" * 32 not in repr(load(environ=GOOD).cluster)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("BUS", "http://x", "bus"),
        ("ADDRESS", "", "address"),
        ("ADDRESS", "10.0.0.1", "address"),
        ("SECRET", "short", "secret"),
        ("NODE", "a b", "node"),
        ("TTL_S", "0.1", "ttl_s"),
        ("ADDRESS", "8.8.8.8:8190", "address: 8.8.8.8 is a public address"),
        ("ADDRESS", "[2a00:1450:4001::1]:8190", "public"),
        ("BUS", "redis://8.8.8.8:6379/0", "bus: 8.8.8.8 is a public address"),
    ],
)
def test_what_is_wrong_is_named(name, value, error):
    with pytest.raises(SettingsError, match=error):
        load(environ={**GOOD, f"SOFTSWITCH_CLUSTER_{name}": value})


@pytest.mark.parametrize(
    ("bus", "address"),
    [
        ("rediss://8.8.8.8:6379/0", "192.168.1.2:8190"),
        ("redis://redis:6379/0", "100.64.0.1:8190"),
        ("unix:///run/redis.sock", "[fd00::1]:8190"),
    ],
)
def test_private_addresses_names_and_encrypted_buses_are_fine(bus, address):
    settings = load(environ={**GOOD, "SOFTSWITCH_CLUSTER_BUS": bus, "SOFTSWITCH_CLUSTER_ADDRESS": address})
    assert settings.cluster.bus == bus
