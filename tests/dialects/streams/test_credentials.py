"""Which credentials a stream gets."""

import pytest

from softswitch.call.interfaces import StreamRequest
from softswitch.dialects.streams.credentials import Credentials, is_within
from softswitch.settings import Stream


def request(protocol: str, account: str = "", url: str = "wss://bot.example/a") -> StreamRequest:
    return StreamRequest(
        "call", "stream", url, two_way=True, channel="inbound", protocol=protocol, account=account
    )


def test_secret_of_one_account_is_not_for_another():
    own, other = Stream("twilio", account="a", secret="1"), Stream("twilio", account="b", secret="2")
    credentials = Credentials((own, other))
    assert credentials.find(request("twilio", "b")) is other
    assert not credentials.find(request("twilio", "")).secret
    assert not credentials.find(request("plivo", "a")).secret


@pytest.mark.parametrize(
    ("url", "base", "within"),
    [
        ("wss://bot.example/a", "", True),
        ("wss://bot.example/a/b?c", "wss://BOT.example/a/", True),
        ("wss://bot.example/ab", "wss://bot.example/a", False),
        ("wss://bot.example/a/../b", "wss://bot.example/a", False),
        ("wss://bot.example.evil/a", "wss://bot.example", False),
        ("wss://bot.example@evil/a", "wss://bot.example", False),
        ("wss://bot.example:444/a", "wss://bot.example", False),
        ("ws://bot.example/a", "wss://bot.example", False),
        ("wss://[bad/a", "wss://bot.example", False),
    ],
)
def test_url_is_compared_by_its_parts(url, base, within):
    assert is_within(url, base) is within


def test_token_needs_a_url_and_never_appears_in_texts():
    with pytest.raises(ValueError, match="url must be set"):
        Stream("raw", token="t")
    text = repr(Stream("raw", token="very", secret="hidden", url="wss://x/"))
    assert "very" not in text
    assert "hidden" not in text
