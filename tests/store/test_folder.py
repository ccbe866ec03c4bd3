"""Names that lead nowhere, files that are only files."""

import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.store.folder import Folder, is_safe_name
from tests.conftest import data_path

CASES = data_path("api", "ids.json")
MARK = b"END\n"


def tree(root: Path) -> list[str]:
    return sorted(str(path) for path in root.rglob("*"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "a" / "inside", suffix=".txt")
    made.make()
    return made


def test_folder_takes_the_ids_that_are_names_and_no_other(folder: Folder, tmp_path: Path) -> None:
    before = tree(tmp_path)
    for case in json.loads(CASES.read_text()):
        name = case["id"]
        assert is_safe_name(name) == case["ok"], name
        if case["ok"]:
            folder.create(name)
            assert folder.delete(name)
            continue
        assert folder.path(name) is None
        assert folder.open(name) is None
        assert not folder.delete(name)
        with pytest.raises(ValueError, match="not safe as a file name"):
            folder.create(name)
        with pytest.raises(OSError, match="safe name"):
            folder.append(name, [b"x"], 100, MARK)
    assert tree(tmp_path) == before


@given(st.text(max_size=140))
@settings(deadline=None, max_examples=300)
def test_is_safe_name_never_lets_a_name_leave_the_folder(name: str) -> None:
    if is_safe_name(name):
        root = Path("/x/y")
        assert (root / (name + ".txt")).parent == root
        assert os.path.normpath(root / (name + ".txt")) == str(root / (name + ".txt"))


def test_folder_makes_files_for_nobody_else(folder: Folder) -> None:
    path = folder.create("a")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        folder.create("a")


def test_folder_opens_what_it_has(folder: Folder) -> None:
    folder.create("a").write_bytes(b"content")
    file = folder.open("a")
    assert file is not None
    with file:
        assert file.read() == b"content"
    assert folder.open("b") is None
    assert folder.path("a") == folder.root / "a.txt"


def test_folder_follows_no_link_and_waits_at_no_pipe(folder: Folder, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (folder.root / "link.txt").symlink_to(secret)
    (folder.root / "hanging.txt").symlink_to(tmp_path / "nothing")
    (folder.root / "folder.txt").mkdir()
    os.mkfifo(folder.root / "pipe.txt")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder.root / "socket.txt"))
    listener.close()
    for name in ("link", "hanging", "folder", "pipe", "socket"):
        assert folder.path(name) is None, name
        assert folder.open(name) is None, name
        assert not folder.delete(name), name
        with pytest.raises(FileExistsError):
            folder.create(name)
        with pytest.raises(OSError):  # noqa: PT011 - a different one for each kind
            folder.append(name, [b"x"], 100, MARK)
    assert folder.files() == []
    assert secret.read_bytes() == b"secret"
    assert not (tmp_path / "nothing").exists()


def test_folder_lists_its_own_files_newest_first(folder: Folder) -> None:
    for age, name in enumerate(("old", "middle", "new")):
        path = folder.create(name)
        path.write_bytes(b"x" * age)
        os.utime(path, (1000 + age, 1000 + age))
    (folder.root / "other.wav").write_bytes(b"x")
    (folder.root / ".hidden.txt").write_bytes(b"x")
    assert [(file.name, file.size, file.modified_at) for file in folder.files()] == [
        ("new", 2, 1_002_000),
        ("middle", 1, 1_001_000),
        ("old", 0, 1_000_000),
    ]


def test_append_keeps_whole_pieces_and_says_once_that_more_came(folder: Folder) -> None:
    assert folder.append("a", [b"one\n", b"two\n"], 20, MARK) == 2
    assert folder.append("a", [b"three three\n", b"4\n"], 20, MARK) == 0
    assert folder.append("a", [b"4\n"], 20, MARK) == 0
    assert (folder.root / "a.txt").read_bytes() == b"one\ntwo\nEND\n"
    assert folder.append("b", [b"12345678\n", b"1234567\n", b"x\n"], 20, MARK) == 1
    assert (folder.root / "b.txt").read_bytes() == b"12345678\nEND\n"


@given(st.lists(st.lists(st.binary(max_size=30), max_size=4), max_size=8))
@settings(deadline=None, max_examples=50)
def test_append_never_passes_the_bound(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[bytes]]
) -> None:
    folder = Folder(tmp_path_factory.mktemp("bound"))
    kept = []
    for pieces in rounds:
        kept += pieces[: folder.append("a", pieces, 100, MARK)]
        size = (folder.root / "a").stat().st_size
        assert size <= 100
    if rounds:
        content = (folder.root / "a").read_bytes()
        assert content in (b"".join(kept), b"".join(kept) + MARK)
