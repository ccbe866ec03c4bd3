"""What the tests of rooms share."""

from collections.abc import Iterator

import aiohttp
import pytest

from tests.conformance.conftest import Switch
from tests.support.rooms import Rest
from tests.support.switch import SwitchThread


@pytest.fixture
async def rest(switch: Switch, http: aiohttp.ClientSession) -> Rest:
    """Give plain requests to the switch that most tests share."""
    return Rest(switch, http)


@pytest.fixture(scope="package")
def _hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchThread]:
    rooms = {"grace_s": 0.6, "connect_timeout_s": 1.0, "max_participants": 5}
    with SwitchThread(tmp_path_factory.mktemp("hasty") / "data", {"rooms": rooms}) as running:
        yield running


@pytest.fixture
def hasty(_hasty: SwitchThread) -> Iterator[SwitchThread]:
    """Return a switch whose rooms have short times (`[rooms] grace_s`, `connect_timeout_s`)."""
    _hasty.faults.lines.clear()
    yield _hasty
    _hasty.check()
