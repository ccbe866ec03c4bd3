"""Secrets that are sealed in the database."""

import stat
from pathlib import Path

import pytest

from softswitch.errors import UnavailableError
from softswitch.store.seal import Seal


def test_text_is_opened_by_the_same_key_file_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    sealed = Seal(path).seal("a secret", "trunk/up")
    assert "secret" not in sealed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert Seal(path).open(sealed, "trunk/up") == "a secret"
    assert Seal(path).seal("a secret", "trunk/up") != sealed
    path.write_bytes(bytes(32))
    with pytest.raises(UnavailableError, match="cannot be opened"):
        Seal(path).open(sealed, "trunk/up")


@pytest.mark.parametrize(
    "spoil", [lambda text: text[:-5], lambda text: text + "A", lambda text: "v1:", str.lower]
)
def test_text_that_was_changed_or_moved_is_refused(tmp_path: Path, spoil) -> None:
    seal = Seal(tmp_path / "key")
    sealed = seal.seal("a secret", "trunk/up")
    with pytest.raises(UnavailableError):
        seal.open(sealed, "trunk/down")
    with pytest.raises(UnavailableError):
        seal.open(spoil(sealed), "trunk/up")


def test_key_file_that_is_missing_or_short_is_named(tmp_path: Path) -> None:
    sealed = Seal(tmp_path / "key").seal("x", "a/b")
    with pytest.raises(UnavailableError, match="other"):
        Seal(tmp_path / "other").open(sealed, "a/b")
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(UnavailableError, match="32 bytes"):
        Seal(tmp_path / "short").seal("x", "a/b")
    with pytest.raises(UnavailableError, match="nowhere"):
        Seal(tmp_path / "nowhere" / "key").seal("x", "a/b")
