"""Whether a sentence may end where a text ends, and how likely its speaker is done."""

import pytest

from softswitch.speech.builtin import neural_voice
from softswitch.speech.builtin.completeness import complete, likelihood
from tests.speech.needs import need_module


@pytest.fixture(scope="module")
def tagger():
    need_module("hibari")
    found = neural_voice.tagger()
    assert found is not None
    return found


@pytest.mark.parametrize(
    "text",
    [
        "I would like to talk to sales, please.", "Yes.", "Tuesday", "technical support", "No, thank you.",
        "Is the museum open?", "What is the balance of my account?", "Do you work on Sunday?",
        "The screen of my phone is broken.", "I am calling about the job that you advertised.",
        "Can you tell me where my order is?", "Please call me back.", "Yes, I do.", "I think so.",
    ],
)  # fmt: skip
def test_sentences_and_short_answers_are_complete(tagger, text):
    assert complete(text, tagger)


@pytest.mark.parametrize(
    "text",
    [
        "", "I am calling to", "My number is", "Please give me the", "I would like a large", "Is the museum?",
        "Does the warranty?", "My mother.", "I want to cancel.", "Please send me.", "We would like and",
        "I wanted to ask because I", "How long is.", "The driver did.", "I would like to talk to sales,",
    ],
)  # fmt: skip
def test_texts_that_want_more_words_are_not(tagger, text):
    assert not complete(text, tagger)


def test_words_and_sound_are_weighed_together():
    sure, unsure = (3.8, -1.5, -1.0), (-2.0, 0.0, 0.0)
    assert likelihood(sure, complete=True) >= 0.95
    assert likelihood(sure, complete=False) < 0.95
    assert likelihood(unsure, complete=True) < 0.98
    assert likelihood(unsure, complete=False) < likelihood(unsure, None) < likelihood(unsure, complete=True)
