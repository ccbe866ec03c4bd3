"""Tokens of clients that come back: a break while coming back locks no client out."""

from softswitch.switch.resume_tokens import ResumeTokens


def test_token_stays_good_until_its_successor_is_used():
    tokens = ResumeTokens()
    first = tokens.issue("a")
    second = tokens.use("a", first)
    assert second is not None
    # The connection broke before the client had read its next token, twice.
    assert tokens.use("a", first) == second
    assert tokens.use("a", first) == second
    third = tokens.use("a", second)
    assert third not in (None, first, second)
    assert tokens.use("a", first) is None
    assert tokens.use("a", second) == third


def test_wrong_tokens_lead_nowhere():
    tokens = ResumeTokens()
    token = tokens.issue("a")
    tokens.issue("b")
    for call_id, given in (("b", token), ("a", ""), ("a", token[:-1]), ("c", token)):
        assert tokens.use(call_id, given) is None
    assert tokens.use("a", token)
    assert tokens.use("a", "") is None


def test_new_first_token_and_the_end_of_the_call_void_what_was_issued():
    tokens = ResumeTokens()
    first = tokens.issue("a")
    second = tokens.issue("a")
    assert tokens.use("a", first) is None
    tokens.forget("a")
    assert tokens.use("a", second) is None
