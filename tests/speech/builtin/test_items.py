import pytest

from softswitch.speech.builtin.items import Items, distance, sounds, words
from softswitch.speech.interface import Grammar, Intent

PHRASES = ("sales", "technical support", "opening hours")
INTENTS = (
    Intent("sales", ("talk to sales", "buy a product")),
    Intent("support", ("talk to support", "my line is broken")),
)


def heard(text, scores=(), free=-1.0, confidence=0.8):
    return {"text": text, "scores": scores, "free": free, "confidence": confidence}


def test_the_same_words_fit_whatever_the_scores():
    verdict = Items(Grammar("phrases", PHRASES)).judge(heard("Technical support.", (-1, -30, -2)))
    assert (verdict.text, verdict.match, verdict.rejected) == (
        "technical support",
        "technical support",
        False,
    )
    assert verdict.confidence == 0.9


def test_a_phrase_that_is_nearly_as_likely_as_the_free_text_fits():
    verdict = Items(Grammar("phrases", PHRASES)).judge(heard("Sail on.", (-5, -30, -30)))
    assert verdict.match == "sales"
    assert verdict.confidence > 0.9


def test_a_phrase_that_is_much_less_likely_is_rejected():
    verdict = Items(Grammar("phrases", PHRASES)).judge(heard("I like trains.", (-18, -30, -30)))
    assert (verdict.text, verdict.match, verdict.rejected) == ("", "", True)
    assert verdict.confidence < 0.1


def test_two_phrases_that_are_equally_likely_are_no_answer():
    verdict = Items(Grammar("phrases", PHRASES, 0.6)).judge(heard("Mumble.", (-3, -3, -30)))
    assert verdict.rejected
    assert verdict.confidence == pytest.approx(0.5, abs=0.01)


def test_the_threshold_is_the_callers():
    result = heard("Sales and more.", (-11.8, -30, -30))
    assert not Items(Grammar("phrases", PHRASES, 0.4)).judge(result).rejected
    assert Items(Grammar("phrases", PHRASES, 0.9)).judge(result).rejected


def test_silence_is_rejected():
    for kind in ("phrases", "spot", "intents", "digits"):
        assert Items(Grammar(kind, PHRASES)).judge(heard("")).rejected


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("I would like to know your opening hours please.", "opening hours"),
        ("What are the open hours?", "opening hours"),
        ("Give me technical supports.", "technical support"),
        ("What is the weather like?", ""),
    ],
)
def test_items_are_spotted_in_a_sentence(text, match):
    items = Items(Grammar("spot", PHRASES))
    assert items.phrases == []
    verdict = items.judge(heard(text))
    assert verdict.match == match
    assert verdict.text == (text if match else "")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("I would like to talk to sales, please.", "sales"),
        ("I want to buy a new product.", "sales"),
        ("Can I talk to the support?", "support"),
        ("Hello, the line is broken since today.", "support"),
        ("I want to talk.", ""),
        ("It is raining.", ""),
    ],
)
def test_intents_are_told_by_the_words_that_set_them_apart(text, match):
    verdict = Items(Grammar("intents", INTENTS)).judge(heard(text, (-40,) * 4))
    assert verdict.match == match
    assert verdict.rejected is (not match)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Four seven two nine.", "four seven two nine"),
        ("4729", "four seven two nine"),
        ("Oh, one, for too.", "oh one four two"),
        ("Twenty nine, thirty, twelve.", "two nine three zero one two"),
        ("My number is double seven.", "seven seven"),
        ("Four apples.", ""),
        ("Um.", ""),
    ],
)
def test_digits(text, said):
    verdict = Items(Grammar("digits")).judge(heard(text))
    assert verdict.text == said
    assert verdict.rejected is (not said)


def test_words_by_what_they_sound_like():
    assert words("It’s 4 o'clock, OK?") == ["it's", "four", "o'clock", "ok"]  # noqa: RUF001
    assert sounds("phone") == sounds("fone")
    assert sounds("opening") == sounds("opened") == sounds("open")
    assert distance("kitten", "sitting") == 3
    assert distance("", "ab") == 2
