import errno
import json
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from softswitch import cli
from softswitch.settings import Settings
from tests.conftest import ROOT


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Put an application in place that notes its settings and ends."""
    seen: list[Settings] = []
    app = ModuleType("softswitch.app")
    vars(app)["run"] = lambda settings, *_, **__: seen.append(settings)
    monkeypatch.setitem(sys.modules, "softswitch.app", app)
    monkeypatch.setattr("softswitch.log.configure", lambda *_, **__: None)
    return seen


@pytest.mark.parametrize("words", [[], ["serve"]])
def test_serve_is_what_happens_without_a_command(served, words):
    assert cli.main([*words, "--port", "8081"]) == 0
    assert served[0].http.port == 8081


def test_serve_refuses_a_public_address_before_anything_starts(served, capsys):
    assert cli.main(["serve", "--host", "0.0.0.0"]) == 2
    assert served == []
    assert "could use the switch without keys" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_taken_sip_port_is_named_and_not_taken_for_the_web_server(kind, tmp_path):
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        said = refused(tmp_path, "--port", "0", "--sip-port", str(port))
    name = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
    assert f"[sip] cannot listen on {name} 127.0.0.1:{port}: address already in use" in said
    assert "--sip-port" in said


def test_taken_web_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path, "--port", str(port), "--sip-port", "0")
    assert f"[http] cannot listen on TCP 127.0.0.1:{port}" in said


def refused(data: Path, *flags: str) -> str:
    """Start a switch in a process of its own, which has to give up; return what it wrote."""
    command = [sys.executable, "-m", "softswitch", "serve", "--data", str(data), *flags]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 2
    return ended.stderr


def test_serve_hides_no_other_fault(served, monkeypatch):
    def broken(settings: Settings, *_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys.modules["softswitch.app"], "run", broken)
    with pytest.raises(OSError, match="Input/output"):
        cli.main(["serve"])


def test_serve_starts_a_supervisor_for_several_workers(monkeypatch):
    """Without a place and with several workers, the supervisor runs; a worker runs the switch itself."""
    ran: list[str] = []

    def supervise(settings: Settings, notify: object, watchdog_s: float) -> None:
        ran.append("supervisor")

    def work(settings: Settings, *_: object, **__: object) -> None:
        ran.append("worker")

    monkeypatch.setattr("softswitch.supervisor.run.run", supervise)
    monkeypatch.setattr("softswitch.app.run", work)
    monkeypatch.setattr("softswitch.log.configure", lambda *_, **__: None)
    assert cli.main(["serve", "--workers", "2"]) == 0
    place = {"number": 1, "host": "h", "workers": 2, "control": 5, "run": "/r", "secret": "s"}
    monkeypatch.setenv("SOFTSWITCH_WORKER", json.dumps(place))
    assert cli.main(["serve", "--workers", "2"]) == 0
    assert ran == ["supervisor", "worker"]


@pytest.mark.parametrize(("given", "error"), [("0", "workers"), ("many", "workers"), ("300", "workers")])
def test_serve_refuses_a_wrong_number_of_workers(given, error, capsys):
    assert cli.main(["serve", "--workers", given]) == 2
    assert error in capsys.readouterr().err
