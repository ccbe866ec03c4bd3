"""What every test may ask for."""

import os
import shutil
import sys
from pathlib import Path
from random import Random

import pytest

import softswitch  # noqa: F401  (before numpy: it sets the number of BLAS threads)

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT.parent / "shared" / "cases"
"""Third-party data, which stays outside the project and need not be there."""


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


def require_case(*parts: str) -> Path:
    """Return a file or folder of the third-party data; skip where it is not there, in CI too."""
    path = CASES.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the third-party data {'/'.join(parts)} is not here")
    return path


@pytest.fixture
def cases() -> Path:
    """Return the folder of the third-party data, or skip."""
    return require_case()


@pytest.fixture
def random() -> Random:
    """Return a seeded source of chance."""
    return Random(20)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own SOFTSWITCH_ variables out of the tests."""
    for name in list(os.environ):
        if name.startswith("SOFTSWITCH_") and not name.startswith("SOFTSWITCH_TEST_"):
            monkeypatch.delenv(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in tests/conformance: the build tells those apart."""
    for item in items:
        if "conformance" in item.path.relative_to(ROOT).parts[:-1]:
            item.add_marker(pytest.mark.conformance)
