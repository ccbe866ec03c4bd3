import errno
import sys
from types import ModuleType

import pytest

from softswitch import cli
from softswitch.settings import Settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Put an application in place that notes its settings and ends."""
    seen: list[Settings] = []
    app = ModuleType("softswitch.app")
    vars(app)["run"] = lambda settings, notify: seen.append(settings)
    monkeypatch.setitem(sys.modules, "softswitch.app", app)
    monkeypatch.setattr("softswitch.log.configure", lambda *_: None)
    return seen


@pytest.mark.parametrize("words", [[], ["serve"]])
def test_serve_is_what_happens_without_a_command(served, words):
    assert cli.main([*words, "--port", "8081"]) == 0
    assert served[0].http.port == 8081


def test_serve_refuses_a_public_address_before_anything_starts(served, capsys):
    assert cli.main(["serve", "--host", "0.0.0.0"]) == 2
    assert served == []
    assert "anybody could use the switch" in capsys.readouterr().err


def test_serve_says_what_to_do_when_the_port_is_taken(served, monkeypatch, capsys):
    def taken(settings: Settings, notify: object) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr(sys.modules["softswitch.app"], "run", taken)
    assert cli.main(["serve"]) == 2
    assert "cannot listen on 127.0.0.1:8080" in capsys.readouterr().err


def test_serve_hides_no_other_fault(served, monkeypatch):
    def broken(settings: Settings, notify: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys.modules["softswitch.app"], "run", broken)
    with pytest.raises(OSError, match="Input/output"):
        cli.main(["serve"])
