"""Names of switches."""

from pathlib import Path

from softswitch.store.node import this_node


def test_folder_keeps_its_name_and_each_start_is_another_incarnation(tmp_path: Path) -> None:
    first, second = this_node(tmp_path), this_node(tmp_path)
    assert first.name == second.name
    assert first.incarnation != second.incarnation
    (tmp_path / "other").mkdir()
    assert this_node(tmp_path / "other").name != first.name


def test_empty_file_gets_a_name(tmp_path: Path) -> None:
    (tmp_path / "node").write_bytes(b"")
    made = this_node(tmp_path).name
    assert made
    assert this_node(tmp_path).name == made
