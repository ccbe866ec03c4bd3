"""The compiled code for media sockets: with a compiler, without one, and with one that fails."""

import sys
from importlib import import_module

import pytest

from softswitch.media.rtp.batch import load
from tests.conftest import ROOT, require_tool


@pytest.fixture
def builder(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.delitem(sys.modules, "build_batch", raising=False)
    build_batch = import_module("build_batch")
    monkeypatch.setattr(build_batch, "LIBRARY", tmp_path / "_batch.so")
    return build_batch


def test_library_is_built_and_loaded(builder, monkeypatch, capsys):
    require_tool("cc", "gcc", "clang")
    monkeypatch.delenv("SOFTSWITCH_COMPILED", raising=False)
    assert builder.main() == 0
    assert "compiled code" in capsys.readouterr().out
    assert load(builder.LIBRARY).name == "compiled"


def test_without_a_compiler_there_is_no_library(builder, monkeypatch, capsys):
    builder.LIBRARY.write_bytes(b"of an earlier build")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(sys, "argv", ["build_batch.py"])
    assert builder.main() == 0
    assert not builder.LIBRARY.exists()
    assert "Python alone (no C compiler)" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["build_batch.py", "--must"])
    assert builder.main() == 1


def test_compiler_that_fails_leaves_nothing_behind(builder, monkeypatch, tmp_path):
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'no headers' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert builder.build() == "no headers"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cc"]
