"""What was said and heard, from positions of the engine alone."""

import pytest

from softswitch.dialects.streams.said import MOST_TEXT, MOST_UTTERANCES, Said, Utterance


def say(said: Said, name: str, ms: float, text: str = "") -> Utterance:
    utterance = said.utterance(name)
    assert utterance is not None
    utterance.write(text)
    said.add_audio(utterance, ms)
    return utterance


def cuts(said: Said, played_ms: int) -> list[tuple[str, int]]:
    return [(cut.utterance.name, cut.heard_ms) for cut in said.cleared(played_ms)]


def test_cut_falls_into_the_utterance_that_was_being_heard():
    said = Said()
    for name in "abc":
        say(said, name, 1000)
    assert said.heard("a") is not None
    said.clear()
    assert cuts(said, 1300) == [("b", 300), ("c", 0)]


def test_position_after_a_cut_counts_from_the_cut():
    said = Said()
    say(said, "a", 5000)
    said.clear()
    assert cuts(said, 700) == [("a", 700)]
    say(said, "b", 1000)
    said.clear()
    assert cuts(said, 1100) == [("b", 400)]


def test_audio_that_arrives_before_the_engine_has_reported_the_cut_belongs_behind_it():
    said = Said()
    say(said, "a", 5000)
    said.clear()
    say(said, "b", 2000)
    said.clear()
    say(said, "c", 1000)
    assert cuts(said, 900) == [("a", 900)]
    assert cuts(said, 900) == [("b", 0)]
    said.clear()
    assert cuts(said, 1400) == [("c", 500)]


def test_cut_utterance_takes_no_more_audio_and_another_does():
    said = Said()
    say(said, "a", 100)
    said.clear()
    assert said.utterance("a") is None
    assert said.utterance("b") is not None


def test_clear_of_another_side_changes_nothing():
    said = Said()
    say(said, "a", 100)
    assert said.cleared(50) == []
    assert said.heard("a") is not None


@pytest.mark.parametrize(
    ("heard_ms", "words"),
    [
        (0, ""),
        (499, ""),
        (500, "one"),
        (999, "one"),
        (1200, "one two"),
        (2000, "one two six."),
        (9000, "one two six."),
    ],
)
def test_words_without_times_are_taken_as_even(heard_ms, words):
    utterance = Utterance("a", 0, 0.0, audio_ms=2000.0, text="one two six.")
    assert utterance.words_before(heard_ms) == words


def test_words_with_times_are_cut_by_them():
    utterance = Utterance("a", 0, 0.0)
    utterance.align("no wait", [0, 10, 20, 30, 40, 50, 60])
    utterance.audio_ms += 1000
    utterance.align(" on", [0, 5, 400])
    utterance.audio_ms += 500
    assert utterance.words_before(19) == ""
    assert utterance.words_before(20) == "no"
    assert utterance.words_before(999) == "no"
    assert utterance.words_before(1000) == "no wait"
    assert utterance.words_before(1499) == "no wait"
    assert utterance.words_before(1500) == "no wait on"


def test_text_without_audio_was_not_heard():
    assert Utterance("a", 0, 0.0, text="thought only").words_before(100) == ""


def test_what_is_kept_is_bounded():
    said = Said()
    for number in range(2 * MOST_UTTERANCES):
        say(said, str(number), 1, "x" * 10)
    assert len(said.names()) == MOST_UTTERANCES
    utterance = said.utterance("long")
    assert utterance is not None
    for _ in range(3):
        utterance.write("y" * MOST_TEXT)
    assert len(utterance.text) == MOST_TEXT
