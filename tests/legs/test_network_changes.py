"""Waiting for changes of addresses: the clock serves where the kernel is silent."""

import asyncio
import ipaddress
import socket

import pytest

from softswitch.legs.network_changes import PERIOD_S, TOLD_PERIOD_S, NetworkChanges, machine_addresses


@pytest.mark.each_loop
async def test_wait_ends_by_the_clock_where_nothing_changes():
    async with NetworkChanges(0.02) as changes, asyncio.timeout(60):
        await changes.wait()
        await changes.wait()


@pytest.mark.each_loop
async def test_message_of_the_kernel_ends_the_wait():
    async with NetworkChanges(300) as changes, asyncio.timeout(60):
        await changes.wait()
        changes._told.set()
        await changes.wait()


@pytest.mark.each_loop
async def test_what_changed_before_the_kernel_was_listened_to_is_looked_at_at_once():
    async with NetworkChanges(300) as changes, asyncio.timeout(60):
        await changes.wait()


def test_addresses_of_this_machine_are_found():
    found = machine_addresses()
    assert "127.0.0.1" in found
    assert all(ipaddress.ip_address(address) for address in found)


@pytest.mark.each_loop
async def test_the_clock_looks_rarely_where_the_kernel_tells_and_often_where_it_does_not(monkeypatch):
    silent = NetworkChanges()
    with monkeypatch.context() as patch:
        patch.delattr(socket, "AF_NETLINK")
        async with silent:
            assert silent.period_s == PERIOD_S
    async with NetworkChanges() as told:
        assert told.period_s == TOLD_PERIOD_S
