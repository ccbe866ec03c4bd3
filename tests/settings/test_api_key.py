import pytest

from softswitch.settings import ALL_SCOPES, parse_api_key


def test_plain_key_may_do_everything_and_is_named_by_its_place():
    key = parse_api_key("s3cret", 2)
    assert (key.name, key.key, key.scopes) == ("key-2", "s3cret", ALL_SCOPES)


def test_named_key_may_do_everything():
    assert parse_api_key("bot:s3cret").scopes == ALL_SCOPES


def test_scopes_are_read_when_given():
    key = parse_api_key("bot:s3cret:call+rooms")
    assert (key.name, key.scopes) == ("bot", {"call", "rooms"})


@pytest.mark.parametrize("entry", ["", ":", "a:", ":b", "a:b:", "a:canary:call:x", "a:canary:fly"])
def test_wrong_entries_are_refused_without_telling_the_key(entry):
    with pytest.raises(ValueError, match="entry 1") as caught:
        parse_api_key(entry)
    assert "canary" not in str(caught.value)


def test_key_is_hidden_when_shown():
    assert "canary" not in repr(parse_api_key("bot:canary"))
