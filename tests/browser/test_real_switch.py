"""The yardsticks of the real-call tests."""

from tests.browser.real_switch import word_error_rate


def test_word_error_rate_counts_words_left_out_added_and_changed() -> None:
    assert word_error_rate("one two three four", "One, two three FOUR!") == 0
    assert word_error_rate("one two three four", "one two tree four five") == 0.5
    assert word_error_rate("one two", "") == 1
