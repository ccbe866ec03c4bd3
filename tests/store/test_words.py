"""Words of transcripts."""

import pytest

from softswitch.store.transcript import Transcript, Turn, encode
from softswitch.store.words import MAX_WANTED, MAX_WORD, MAX_WORDS, indexed, matching


def transcript(*texts: str) -> str:
    turns = tuple(Turn("caller", 0, 1, text) for text in texts)
    return encode(Transcript(id="t", status="completed", made_at=1, turns=turns))


def words(*texts: str) -> list[str]:
    return indexed("", transcript(*texts)).split()[1:]


def wanted(text: str) -> list[str]:
    return matching(text, None)[1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Good day, good DAY!", ["good", "day"]),
        ("snake_case 3g it's 1.5", ["snake", "case", "3g", "it", "s", "1", "5"]),
        ("Straße Café naïve", ["strasse", "cafe", "naive"]),
        ("银行卡", ["银行", "行卡", "卡"]),
        ("我要3张ticket", ["我要", "要", "3", "张", "ticket"]),
        ("% \\ ' \" : * = -", []),
    ],
)
def test_words_are_cut_and_folded(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_words_of_all_turns_stand_once_behind_that_of_the_account() -> None:
    assert indexed("me", transcript("a b", "b c")) == "=6d65 a b c"
    assert indexed("", "1 party junk") == "="


@pytest.mark.parametrize(
    ("text", "beginnings"),
    [("Good day", ["good", "day"]), ("银", ["银"]), ("银行卡", ["银行", "行卡"]), ("%", []), ("a a", ["a"])],
)
def test_search_looks_for_beginnings(text: str, beginnings: list[str]) -> None:
    assert wanted(text) == beginnings


def test_account_of_a_search_is_that_of_the_index() -> None:
    assert matching("x", "me")[0] == indexed("me", "").split()[0]
    assert matching("x", "")[0] == indexed("", "").split()[0]
    assert matching("x", None)[0] == ""


def test_words_are_bounded() -> None:
    many = " ".join(f"w{number}" for number in range(MAX_WORDS + 10))
    assert len(indexed("", transcript(many)).split()) == MAX_WORDS
    assert len(wanted(many)) == MAX_WANTED
    assert words("x" * 100) == wanted("x" * 100) == ["x" * MAX_WORD]
