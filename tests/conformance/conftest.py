"""The switch under test, and the mark that ties a test to the wire page."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from tests.support.servers import Files
from tests.support.switch import Sections, SwitchThread
from tests.support.switch import SwitchThread as Switch

__all__ = ["StartSwitch", "Switch"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "row(*names): proves rows of the wire page, as listed in rows.py")


class StartSwitch(Protocol):
    """Start a switch of a test's own."""

    def __call__(self, sections: Sections | None = None, /, query: Mapping[str, str] | None = None) -> Switch:
        """Start it with these settings; `query` goes into every URL."""


@pytest.fixture(scope="package")
def _shared_switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switch]:
    # As `make run` does it: the models are loaded at the start.
    with SwitchThread(tmp_path_factory.mktemp("switch") / "data", {"speech": {"preload": True}}) as running:
        yield running


@pytest.fixture
def switch(_shared_switch: Switch) -> Iterator[Switch]:
    """Give the switch that most tests share: what one of them does must not matter to the next."""
    _shared_switch.faults.lines.clear()
    yield _shared_switch
    _shared_switch.check()


@pytest.fixture
def start_switch(tmp_path: Path) -> Iterator[StartSwitch]:
    """Start switches with settings of a test's own; they end with it."""
    running: list[SwitchThread] = []

    def start(sections: Sections | None = None, query: Mapping[str, str] | None = None) -> Switch:
        made = SwitchThread(tmp_path / f"data-{len(running)}", sections, query)
        made.start()
        running.append(made)
        return made

    yield start
    for made in running:
        made.stop()
        made.check()


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let our own WebRTC clients use 127.0.0.1, which aioice leaves out by itself."""

    def addresses(**_: Any) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr("aioice.ice.get_host_addresses", addresses)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client for plain requests."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def files() -> AsyncIterator[Files]:
    """Give a web server on loopback."""
    async with Files() as server:
        yield server
