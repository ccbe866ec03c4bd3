"""The listener hands connections over, and leaves those in the kernel that no worker takes."""

import asyncio
import socket
from typing import Any

import pytest

from softswitch.errors import ListenError
from softswitch.settings import Http
from softswitch.supervisor import listener as module
from softswitch.supervisor.listener import Listener
from tests.bus.buses import until


@pytest.fixture
def given():
    return []


@pytest.fixture
async def listener(given, monkeypatch):
    """Run a listener whose workers take connections while `takes` holds True."""
    monkeypatch.setattr(module, "PAUSE_S", 0.01)

    def give(connection):
        given.append(connection.dup())
        return made.gives

    made: Any = Listener(give, lambda: made.takes)
    made.takes = made.gives = True
    made.open(Http(host="127.0.0.1", port=0))
    yield made
    made.close()
    for connection in given:
        connection.close()


async def test_a_connection_is_handed_over(listener, given):
    with socket.create_connection(("127.0.0.1", listener.port)) as client:
        await until(lambda: given)
        given[0].sendall(b"x")
        assert await asyncio.to_thread(client.recv, 1) == b"x"
    assert (listener.accepted, listener.refused) == (1, 0)


async def test_a_connection_waits_until_a_worker_takes_it(listener, given):
    listener.takes = False
    with socket.create_connection(("127.0.0.1", listener.port)):
        await asyncio.sleep(0.05)
        assert not given
        listener.takes = True
        await until(lambda: given)


async def test_one_that_no_worker_took_is_closed_and_counted(listener):
    listener.gives = False
    with socket.create_connection(("127.0.0.1", listener.port)):
        await until(lambda: listener.refused)


async def test_a_port_in_use_is_named(listener):
    second = Listener(lambda connection: True, lambda: True)
    with pytest.raises(ListenError, match=str(listener.port)):
        second.open(Http(host="127.0.0.1", port=listener.port))
