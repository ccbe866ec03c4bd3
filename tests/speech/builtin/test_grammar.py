# ruff: noqa: RUF001  (signs that look like others are meant)
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.speech.builtin.grammar import NAMED, build, words


def known(word):
    return word not in {"zorglub", "qqq"}


def test_phrases_become_alternatives_and_lead_back_to_how_they_were_given():
    text, phrases, unknown = build(("Sales, please", "the Office"), known)
    assert "public <said> = ((sales please) | (the office));" in text
    assert phrases == {"sales please": "Sales, please", "the office": "the Office"}
    assert unknown == []


def test_phrases_with_unknown_words_are_left_out_and_told():
    text, phrases, unknown = build(("open", "open the zorglub", "!!"), known)
    assert "zorglub" not in text
    assert list(phrases) == ["open"]
    assert unknown == ["open the zorglub", "!!"]


def test_grammar_without_any_phrase_is_empty():
    assert build(("qqq",), known) == ("", {}, ["qqq"])


def test_digits_may_follow_one_another():
    text, phrases, _ = build("digits", known)
    assert text.rstrip().endswith(")+;")
    assert {"zero", "oh", "nine"} <= set(phrases)
    assert "+" not in build("yes/no", known)[0]
    assert set(NAMED) == {"digits", "yes/no"}


@pytest.mark.parametrize(
    ("phrase", "spelled"),
    [
        ("Press 1", ["press", "one"]),
        ("that’s it", ["that's", "it"]),
        ("well-known", ["well-known"]),
        ("?!", []),
    ],
)
def test_words_are_spelled_as_in_the_dictionary(phrase, spelled):
    assert words(phrase) == spelled


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(max_size=20), max_size=5))
def test_no_phrase_gets_syntax_into_the_grammar(phrases):
    text, _, _ = build(tuple(phrases), lambda _word: True)
    body = text.partition("= (")[2].rpartition(");")[0]
    assert set(body) <= set("abcdefghijklmnopqrstuvwxyz '.-()|")
    assert body.count("(") == body.count(")")
