from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.speech import sentences
from softswitch.speech.sentences import (
    LONGEST,
    LONGEST_DENSE,
    SentenceCutter,
    closed,
    first_clause,
    speakable,
)


def cut(*pieces):
    cutter = SentenceCutter()
    sentences = [sentence for piece in pieces for sentence in cutter.push(piece)]
    return sentences + cutter.flush()


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Hello. How are you? Fine!", ["Hello.", "How are you?", "Fine!"]),
        ("Wait... what?! No", ["Wait...", "what?!", "No"]),
        ("First line\nsecond line", ["First line", "second line"]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("Note: read this; then that", ["Note:", "read this;", "then that"]),
        ("你好。你叫什么名字？很高兴！", ["你好。", "你叫什么名字？", "很高兴！"]),
        ("「はい。」そうです。", ["「はい。」", "そうです。"]),
        ("  \n ... \n", []),
    ],
)
def test_cutter_ends_sentences_at_stops(text, sentences):
    assert cut(text) == sentences


@pytest.mark.parametrize(
    "text",
    [
        "Mr. Smith and Dr. Jones agree",
        "It costs 3.50 today",
        "The office opens at 10:30 sharp",
        "J. R. R. Tolkien wrote it",
        "See e.g. the manual",
        "1. Press the button",
        "Visit example.com now",
    ],
)
def test_cutter_does_not_end_a_sentence_inside(text):
    assert cut(text) == [text]


def test_one_letter_words_end_a_sentence():
    assert cut("So do I. Fine.") == ["So do I.", "Fine."]


def test_cutter_gives_a_sentence_out_before_the_text_is_complete():
    cutter = SentenceCutter()
    assert cutter.push("Hel") == []
    assert cutter.push("lo there.") == []  # A decimal might go on.
    assert cutter.push(" How") == ["Hello there."]
    assert cutter.holding
    assert cutter.flush() == ["How"]
    assert not cutter.holding


def test_a_long_clause_is_cut_at_a_comma_and_else_at_a_space():
    first, second = "word " * 14 + "end,", "more " * 20
    assert cut(f"{first} {second}")[0] == first
    assert all(len(sentence) <= LONGEST for sentence in cut("word " * 100))
    assert all(len(sentence) <= LONGEST_DENSE for sentence in cut("字" * 200))
    assert all(len(sentence) <= LONGEST for sentence in cut("x" * 500))


def test_closed_tells_whole_sentences_from_parts():
    assert closed("He left.")
    assert closed('"Stop!"')
    assert not closed("and then,")


def test_nothing_but_signs_is_not_speakable():
    assert not speakable("... -- !?")
    assert speakable("5")


@settings(deadline=None, max_examples=80)
@given(st.text("ab .,!?\n。1", max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_streamed_text_is_cut_as_the_whole_text_is(text, cuts):
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[begin:end] for begin, end in pairwise(places)]
    streamed = "".join("".join(cut(*pieces)).split())
    assert streamed == "".join("".join(cut(text)).split())


@settings(deadline=None, max_examples=80)
@given(st.text(max_size=600))
def test_no_letter_is_lost(text):
    spoken = "".join(cut(text))
    assert [c for c in spoken if c.isalnum()] == [c for c in text if c.isalnum()]


@pytest.mark.parametrize(
    "text", ["x" * 20_000, "." * 20_000, "mr. " * 5_000, 'a" ' * 5_000, " " * 20_000 + "b"]
)
def test_time_of_cutting_does_not_grow_with_the_text_behind(text, monkeypatch):
    looked_at: list[int] = []
    end = sentences._end

    def look(held: str) -> int | None:
        looked_at.append(len(held))
        return end(held)

    monkeypatch.setattr(sentences, "_end", look)
    cut(text)
    # Each look may see little, and the text has at least as many pieces as there are looks.
    assert max(looked_at) <= LONGEST + 64
    assert sum(looked_at) < 8 * len(text)


@pytest.mark.parametrize(
    ("sentence", "parts"),
    [
        ("Thank you for calling.", ("Thank you for calling.",)),
        (
            "Thank you for calling us, how may I help you?",
            ("Thank you for calling us,", "how may I help you?"),
        ),
        ("I would like to know where it is.", ("I would like,", "to know where it is.")),
        (
            "Please call [our hot](/x/) line in the morning.",
            ("Please call [our hot](/x/) line in the morning.",),
        ),
    ],
)
def test_the_first_part_of_a_sentence_is_short(sentence, parts):
    assert first_clause(sentence) == parts
