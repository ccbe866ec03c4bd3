from pathlib import Path

from softswitch.settings import checkout_root, default_data_folder, places, static_root


def test_checkout_keeps_its_data_beside_the_sources():
    root = checkout_root()
    assert root is not None
    assert default_data_folder({}) == root / "var"
    assert static_root() == root / "static"


def test_installed_package_uses_its_own_files_and_the_state_folder(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "softswitch"
    (package / "_static").mkdir(parents=True)
    monkeypatch.setattr(places, "PACKAGE", package)
    assert checkout_root() is None
    assert static_root() == package / "_static"
    assert default_data_folder({"XDG_STATE_HOME": "/state"}) == Path("/state/softswitch")
    assert default_data_folder({"STATE_DIRECTORY": "/var/lib/softswitch:/x"}) == Path("/var/lib/softswitch")
    assert default_data_folder({"XDG_STATE_HOME": "relative"}) == Path.home() / ".local/state/softswitch"
