"""The wheel, installed away from the checkout: everything that the switch needs is inside."""

import os
import re
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.conftest import ROOT
from tests.support.switch import SwitchProcess

pytestmark = [pytest.mark.client, pytest.mark.slow]


def run(*words: str | Path, **environ: str) -> str:
    done = subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with what is installed here: no registry is asked."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("softswitch-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a folder of its own; what it depends on is here already."""
    folder = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", "--no-compile", "--target", folder, wheel)
    return folder


def test_wheel_holds_package_page_and_licence_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    page = {str(path.relative_to(ROOT / "static")) for path in (ROOT / "static").rglob("*") if path.is_file()}
    assert {f"softswitch/_static/{name}" for name in page} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"softswitch"}
    compiled = [name for name in names if name.endswith((".pyc", ".so"))]
    # Nothing but the calls for media sockets, where there was a compiler (docs/adr/0031).
    assert set(compiled) <= {"softswitch/media/rtp/_batch.so"}


def test_wheel_carries_every_file_of_the_package_that_is_not_python(wheel):
    """Migrations, tables and the like are found beside the code that reads them."""
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "softswitch").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "_static" not in path.parts
    }
    assert here <= names


def test_installed_package_knows_its_own_page_and_keeps_data_in_the_state_folder(installed, tmp_path):
    code = "from softswitch.settings import *; print(static_root()); print(default_data_folder())"
    told = run(
        sys.executable, "-P", "-c", code, PYTHONPATH=str(installed), XDG_STATE_HOME=str(tmp_path)
    ).splitlines()
    assert told == [str(installed / "softswitch" / "_static"), str(tmp_path / "softswitch")]


def test_installed_package_serves_its_page(installed, tmp_path):
    environment = {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    with (
        SwitchProcess(tmp_path / "data", environment) as switch,
        urlopen(switch.url("/"), timeout=60) as page,
    ):
        text = page.read().decode()
        assert "<!doctype html>" in text.lower()
        scripts = re.findall(r'src="(/?[^":]+\.js)"', text)
        assert scripts
        for script in scripts:
            with urlopen(switch.url("/" + script.removeprefix("/")), timeout=60) as response:
                assert response.status == 200
        switch.terminate()
        assert switch.process.wait(30) == 0, switch.output()


def test_supervisor_is_told_when_the_switch_is_ready_and_when_it_ends(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        with SwitchProcess(tmp_path / "data", {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as switch:
            assert b"READY=1" in systemd.recv(1000)
            switch.terminate()
            assert b"STOPPING=1" in systemd.recv(1000)
            assert switch.process.wait(30) == 0, switch.output()
