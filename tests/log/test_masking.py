import pytest

from softswitch.log.masking import is_secret, mask, mask_text


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "secretKey",
        "secret_id",
        "apiKey",
        "api_key",
        "Authorization",
        "token",
        "credential",
        "X-Api-Key",
        "turn_secret",
        "accessToken",
        "ice_pwd",
        "appid",
        "Cookie",
    ],
)
def test_names_of_secrets_are_known_in_every_spelling(name):
    assert is_secret(name)


@pytest.mark.parametrize("name", ["speaker", "provider", "caller", "text", "sdp", "username", "key"])
def test_other_names_are_not_secret(name):
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a=ice-pwd:canary\r\na=mid:0", "a=ice-pwd:***\r\na=mid:0"),
        (
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:canary|2^20|1:4\r\n",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***|2^20|1:4\r\n",
        ),
        (
            'Digest username="bob", response="canary", uri="sip:a"',
            'Digest username="bob", response="***", uri="sip:a"',
        ),
        ("/call?id=1&appid=canary&dump=0", "/call?id=1&appid=***&dump=0"),
        ("wss://a.example/ws?key=canary", "wss://a.example/ws?key=***"),
        ("/x?agent_id=7&conversation_signature=canary", "/x?agent_id=7&conversation_signature=***"),
        ("wss://bob:canary@a.example/x", "wss://bob:***@a.example/x"),
        ("https://a.example:443/x@y", "https://a.example:443/x@y"),
        ("the response was late", "the response was late"),
    ],
)
def test_secrets_inside_text_are_hidden(text, masked):
    assert mask_text(text) == masked


def test_mask_copies_plain_data_and_hides_what_is_secret():
    source = {
        "option": {"sip": {"username": "bob", "password": "canary"}, "asr": [{"secretKey": "canary"}]},
        "apiKey": "",
        "audio": b"1234",
        "offer": "a=ice-pwd:canary",
        "when": 1,
    }
    assert mask(source) == {
        "option": {"sip": {"username": "bob", "password": "***"}, "asr": [{"secretKey": "***"}]},
        "apiKey": "",
        "audio": "<4 bytes>",
        "offer": "a=ice-pwd:***",
        "when": 1,
    }
    assert "canary" in str(source)


def test_mask_ends_in_data_that_is_too_deep():
    deep: list = []
    for _ in range(1000):
        deep = [deep]
    assert "..." in str(mask(deep))


def test_more_values_than_are_shown_are_counted():
    shown = mask({"list": list(range(5000)), "password": "x"})
    assert len(shown["list"]) < 2001
    assert shown["list"][-1] == f"... {5000 - len(shown['list']) + 1} more"
    assert mask({str(number): number for number in range(5000)})["..."] == "3000 more"


def test_more_text_than_is_looked_through_is_counted():
    shown = mask(["x" * 20_000, "bearer secret", "y" * 20_000])
    assert shown == ["x" * 20_000, "bearer ***", "<20000 characters>"]


@pytest.mark.parametrize(
    "text", ["a+" * 200_000, "a=crypto:" * 40_000, "a://b:" * 60_000, "bearer " * 50_000]
)
def test_long_texts_take_linear_time(text):
    # In quadratic time this would take minutes, and the test runner would end it.
    assert len(mask_text(text)) > 100_000


def test_passwords_behind_any_sign_are_hidden():
    assert mask_text("(see.https://u:secret@h)") == "(see.https://u:***@h)"
