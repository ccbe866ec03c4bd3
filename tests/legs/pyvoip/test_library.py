"""The pinned release of pyVoIP, which is imported on demand only."""

import importlib.metadata
import subprocess
import sys

import pytest

from softswitch.errors import UnavailableError
from softswitch.legs.pyvoip import PyvoipEndpoints
from softswitch.legs.pyvoip.library import check_version
from softswitch.settings import Settings, Sip, Trunk


def test_installed_release_is_right() -> None:
    check_version()


def test_other_release_is_refused_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.0.0")
    with pytest.raises(UnavailableError, match=r"needs pyVoIP 1\.6\.8, but 2\.0\.0 is installed"):
        check_version()


def test_absence_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(UnavailableError, match=r"pip install softswitch\[pyvoip\]"):
        check_version()


def test_library_is_not_imported_with_the_package() -> None:
    code = (
        "import sys; import softswitch.legs.pyvoip; "
        "raise SystemExit('pyVoIP' in sys.modules or 'audioop' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (Settings(), False),
        (Settings(sip=Sip(engine="pyvoip")), True),
        (Settings(sip=Sip(engine="pyvoip", enabled=False)), False),
        (Settings(trunk=(Trunk("a", ("h",)),)), False),
        (Settings(trunk=(Trunk("a", ("h",)), Trunk("b", ("h",), engine="pyvoip"))), True),
    ],
)
def test_pyvoip_is_wanted_by_trunks_and_by_the_local_phone(settings: Settings, wanted: bool) -> None:
    assert PyvoipEndpoints.is_wanted(settings) is wanted
