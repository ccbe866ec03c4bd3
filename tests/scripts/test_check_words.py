"""The check of the vocabulary finds replaced words, and only those."""

from pathlib import Path

import pytest

from scripts import check_words


def words(text: str, *, code: bool = False) -> list[tuple[int, str]]:
    return [(line, word) for line, word, _ in check_words.find(text, code=code)]


@pytest.mark.parametrize("phrase", sorted(check_words.PROSE))
def test_find_names_every_phrase_of_the_list(phrase):
    assert words(f"First line.\nHere {phrase} stands.") == [(2, phrase)]


@pytest.mark.parametrize("name", sorted(check_words.NAMES))
def test_find_names_replaced_identifiers_in_code_only(name):
    assert words(f"x = {name}()", code=True) == [(1, name)]
    assert words(f"x = {name}()") == []


def test_find_reads_a_phrase_in_any_case():
    assert words("Nobody answers.") == [(1, "Nobody")]


def test_find_leaves_the_comparison_of_python_alone():
    assert words("if call is None:", code=True) == []
    assert words("A warning is none.", code=True) == [(1, "is none")]


def test_find_leaves_longer_words_alone():
    assert words("doorbell nobodys-fault Carriers", code=True) == []


def test_find_gives_the_replacement():
    (finding,) = check_words.find("The far end hangs up.", code=False)
    assert finding == (1, "far end", "remote party, peer")


def test_main_prints_place_and_fails_when_a_file_has_a_finding(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "page.md").write_text("Good.\nNobody is there.\n", "utf-8")
    (tmp_path / "good.md").write_text("Good.\n", "utf-8")
    monkeypatch.setattr(check_words, "ROOT", tmp_path)
    assert check_words.main(["page.md", "good.md", "absent.md"]) == 1
    assert capsys.readouterr().out.startswith("page.md:2: 'Nobody': ")
    assert check_words.main(["good.md"]) == 0


def test_main_skips_other_endings_and_the_files_that_name_the_words(tmp_path: Path, monkeypatch):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "check_words.py").write_text("nobody", "utf-8")
    (tmp_path / "sound.wav").write_text("nobody", "utf-8")
    monkeypatch.setattr(check_words, "ROOT", tmp_path)
    assert check_words.main(["scripts/check_words.py", "sound.wav"]) == 0
