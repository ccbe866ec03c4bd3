import numpy as np
import pytest

from softswitch.evals.measures import Ear, Report, TurnResult, missing, percentile
from softswitch.evals.scenario import Limits

LOUD = np.full(320, 3000, "<i2").tobytes()
QUIET = bytes(640)


def heard(pattern):
    """Return an ear that heard 20 ms for each sign: `x` is loud."""
    ear = Ear()
    for number, sign in enumerate(pattern):
        ear.hear(LOUD if sign == "x" else QUIET, number * 0.02)
    return ear


def test_a_click_is_no_speech_and_a_pause_no_end():
    assert heard("..xx....x..").utterances == []
    (one,) = heard(".." + "x" * 10 + "." * 20 + "x" * 10).utterances
    assert (one.begin, one.end) == pytest.approx((0.04, 0.82))


def test_silence_ends_an_utterance():
    first, second = heard("x" * 10 + "." * 40 + "x" * 10).utterances
    assert first.end == pytest.approx(0.18)
    assert second.begin == pytest.approx(1.0)


def test_since_is_what_began_later():
    ear = heard("x" * 10 + "." * 40 + "x" * 10)
    assert ear.since(-1.0) is ear.utterances[0]
    assert ear.since(0.5) is ear.utterances[1]
    assert ear.since(2.0) is None


def test_limits_are_judged():
    report = Report(
        greeting_ms=900,
        turns=[
            TurnResult(say="a", response_ms=500),
            TurnResult(say="b", response_ms=700, barge_in_ms=1500, missing=("sales",)),
        ],
    )
    report.judge(Limits(), expected=2, greets=True)
    assert report.faults == ["barge_in_ms is 1500, the limit is 1000", "missing_words is 0.5, the limit is 0"]
    assert (report.response_ms_p50, report.passed) == (600, False)
    report.judge(Limits(barge_in_ms=1500, missing_words=0.5), expected=2, greets=True)
    assert report.passed


def test_missing_words_are_phrases_without_case_and_punctuation():
    assert missing(("Sales", "nine to five", "office"), "I connect you with SALES. Nine, to five!") == (
        "office",
    )
    assert missing(("sale",), "sales") == ("sale",)


def test_no_figures_without_values():
    assert percentile([], 95) is None
