"""What the tests of networks may ask for."""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest

from tests.conftest import missing, require_tool
from tests.networks.topology import Namespace, NotAllowed, Topology
from tests.support.loops import LOOPS
from tests.support.switch import SwitchThread

SWITCH, CLIENT = "10.1.0.1", "10.1.0.2"


@pytest.fixture
def topology(random: Random) -> Iterator[Topology]:
    """Give an empty topology; skip where network namespaces are not allowed."""
    with networks(random) as made:
        yield made


@pytest.fixture(scope="module")
def lasting_topology() -> Iterator[Topology]:
    """Give an empty topology that lasts for all tests of a module."""
    with networks(Random(20)) as made:
        yield made


@contextmanager
def networks(random: Random) -> Iterator[Topology]:
    """Make an empty topology; skip where network namespaces are not allowed."""
    require_tool("ip")
    with Topology(random) as made:
        try:
            made.host("probe")
        except NotAllowed as error:
            missing(f"network namespaces are not allowed: {error}")
        yield made


@dataclasses.dataclass
class Place:
    """A whole switch, and a client at the other end of a cable."""

    switch: SwitchThread
    client: Namespace
    device: str
    here: Namespace

    def run(self, test: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a client in its namespace."""
        with self.client.entered():
            return asyncio.run(asyncio.wait_for(test(), 60))

    def plug(self, connected: bool) -> None:
        """Plug the cable of the client in, or pull it: packets vanish without an error."""
        self.client.ip(f"link set {self.device} {'up' if connected else 'down'}")


@pytest.fixture(scope="session", params=LOOPS.args[1])
def place(request: Any, tmp_path_factory: Any) -> Iterator[Place]:
    """Run a whole switch in a namespace, on each kind of event loop; it is made once for all tests."""
    with networks(Random(20)) as topology:
        here, there = topology.host("switch"), topology.host("client")
        _, device = topology.join(here, there, addresses=[f"{SWITCH}/24"], other_addresses=[f"{CLIENT}/24"])
        sections = {"http": {"hosts": [SWITCH]}, "ice": {"host_addresses": []}, "speech": {"preload": False}}
        switch = SwitchThread(
            tmp_path_factory.mktemp("place") / "data", sections, host=SWITCH, loop_factory=request.param
        )
        with here.entered():
            switch.start()
        try:
            yield Place(switch, there, device, here)
        finally:
            switch.stop()
