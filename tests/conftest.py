"""What every test may ask for."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest

import softswitch  # noqa: F401  (before numpy: it sets the number of BLAS threads)
from softswitch.compiled import SWITCH
from softswitch.egress.loops import SelectorLoop, uvloop_factory
from softswitch.legs.webrtc.aiortc_private import KNOWN_VERSIONS

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
"""Data of the tests, made for this project."""
THIRD_PARTY = ROOT.parent / "shared" / "cases"
"""Data of other projects. It stays outside this one; tests of it are collected only where it is there."""


def missing(reason: str) -> None:
    """Skip the test; with CI=true fail instead, since there everything has to be tried."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"{reason} (CI=true: nothing may be skipped)", pytrace=False)
    pytest.skip(reason)


def require_tool(*names: str) -> str:
    """Return the path of the first of these programs that is installed, else skip or fail.

    Looked for beside Python first, and in the administrator's folders too: turnserver and haproxy lie there.
    """
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join([beside, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    missing(f"the program {' or '.join(names)} is not installed")
    raise AssertionError


def data_path(*parts: str) -> Path:
    """Return a file or folder of the tests' data, else of the third-party data (which need not exist)."""
    own = DATA.joinpath(*parts)
    return own if own.exists() else THIRD_PARTY.joinpath(*parts)


@pytest.fixture
def random() -> Random:
    """Return a seeded source of chance."""
    return Random(20)


@pytest.fixture(autouse=True, scope="session")
def _newest_aiortc() -> None:
    """Accept any release of aiortc and aioice where `scripts/newest_aiortc.sh` tries the newest ones."""
    if os.environ.get("SOFTSWITCH_TEST_NEWEST_AIORTC"):
        KNOWN_VERSIONS.update(dict.fromkeys(KNOWN_VERSIONS, ("",)))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of the tests; the switch of compiled code is no setting."""
    for name in list(os.environ):
        if name.startswith("SOFTSWITCH_") and not name.startswith(("SOFTSWITCH_TEST_", SWITCH)):
            monkeypatch.delenv(name)


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests marked `each_loop` on the loop that `make run` uses (uvloop) too, all others on asyncio's."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": SelectorLoop}
    if item.get_closest_marker("each_loop") is not None and find_spec("uvloop"):
        loops["uvloop"] = uvloop_factory()
    return loops


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what lies in tests/conformance, and leave out tests of third-party data that is not there."""
    absent = [
        item
        for item in items
        if any(not data_path(*mark.args[0].split("/")).exists() for mark in item.iter_markers("third_party"))
    ]
    if absent:
        config.hook.pytest_deselected(items=absent)
        left_out = set(absent)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if "conformance" in item.path.relative_to(ROOT).parts[:-1]:
            item.add_marker(pytest.mark.conformance)
