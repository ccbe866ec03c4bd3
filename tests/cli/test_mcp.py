"""`softswitch mcp`: its ways to the client are tried in `tests/mcp_server`; here, what stops it."""

import sys

import pytest

from softswitch.cli import main


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "mcp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "softswitch.mcp_server.server", raising=False)
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert main(["mcp"]) == 2
    assert "pip install softswitch[mcp]" in capsys.readouterr().err


def test_unknown_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["mcp", "--nonsense"])
    assert "--nonsense" in capsys.readouterr().err
