from hypothesis import given
from hypothesis import strategies as st

from softswitch.switch.conversation.heard_text import HeardText


def said(text="How can I help you?", *, end_ms=1900.0, last=True):
    heard = HeardText()
    heard.fed(text, 0, end_ms, last=last)
    return heard


def test_words_are_those_that_the_voice_says_had_begun():
    heard = said()
    for begin in (0, 400, 900, 1000, 1700):
        heard.word(begin)
    assert heard.until(0) == ""
    assert heard.until(401) == "How can"
    assert heard.until(950) == "How can I"
    assert heard.until(1701) == "How can I help you?"


def test_words_without_positions_are_spread_by_their_letters():
    # 15 letters in 1500 ms: the words begin at 0, 300, 600, 700 and 1100 ms.
    heard = said(end_ms=1500)
    assert heard.until(299) == "How"
    assert heard.until(701) == "How can I help"
    assert heard.until(1500) == "How can I help you?"


def test_a_voice_that_counts_other_words_is_not_believed():
    heard = said(end_ms=1500)
    heard.word(0)
    heard.word(1)
    assert heard.until(299) == "How"


def test_a_piece_whose_audio_goes_on_is_not_taken_for_heard():
    heard = said(end_ms=100, last=False)
    assert heard.until(100) == "How"
    heard.fed("", 100, 1500, last=False)
    heard.fed("", 1500, 1500, last=True)
    assert heard.until(1500) == "How can I help you?"


def test_pieces_follow_one_another():
    heard = said("One.", end_ms=500)
    heard.fed("Two three.", 500, 1500, last=True)
    assert heard.until(500) == "One."
    assert heard.until(501) == "One. Two"
    assert heard.until(9999) == "One. Two three."


@given(st.lists(st.sampled_from(["a", "a b", "ab a b"]), max_size=6), *[st.integers(0, 5000)] * 2)
def test_more_time_never_means_fewer_words(texts, one, other):
    heard = HeardText()
    for at, text in enumerate(texts):
        heard.fed(text, at * 700, at * 700 + 700, last=True)
    early, late = sorted((one, other))
    assert " ".join(heard.until(late).split()).startswith(" ".join(heard.until(early).split()))
