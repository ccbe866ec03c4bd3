import io
import json
import logging
from collections.abc import Iterator

import pytest

from softswitch.log import configure, escape, for_call, is_secret, mask, mask_text


@pytest.fixture
def _keep_logging() -> Iterator[None]:
    """Put the handlers of pytest back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


pytestmark = pytest.mark.usefixtures("_keep_logging")


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_json_log_is_one_object_a_line_with_call_and_data():
    stream = io.StringIO()
    configure("info", "json", stream)
    logger = logging.getLogger("softswitch.test")
    with for_call("c-1"):
        logger.info("call ended", extra={"reason": "caller", "seconds": 1.5})
    logger.debug("not written")
    (line,) = lines(stream)
    entry = json.loads(line)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "info",
        "logger": "softswitch.test",
        "message": "call ended",
        "call": "c-1",
        "reason": "caller",
        "seconds": 1.5,
    }


@pytest.mark.parametrize("form", ["json", "text"])
def test_log_stays_on_one_line_when_data_has_control_characters(form):
    stream = io.StringIO()
    configure("info", form, stream)
    forged = "x\r\n{}\x1b[2J\x85\u2028\u202e\ud800\x7f"
    logging.getLogger("softswitch.test").info("odd", extra={"caller": forged})
    (line,) = lines(stream)
    assert line.isprintable()
    if form == "json":
        assert json.loads(line)["caller"] == forged


@pytest.mark.parametrize("form", ["json", "text"])
def test_log_of_an_exception_hides_secrets(form):
    stream = io.StringIO()
    configure("info", form, stream)
    try:
        raise ValueError("GET https://a.example/?token=canary-1 Authorization: Bearer canary-2")
    except ValueError:
        logging.getLogger("softswitch.test").exception(
            "failed", extra={"option": {"tts": {"secretKey": "canary-3", "speaker": "x"}}}
        )
    text = stream.getvalue()
    assert "ValueError" in text
    assert "canary" not in text
    assert "speaker" in text


def test_auto_is_json_where_nobody_looks():
    stream = io.StringIO()
    configure("info", "auto", stream)
    logging.getLogger("softswitch.test").warning("hello")
    assert json.loads(lines(stream)[0])["level"] == "warning"


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


def test_escape_leaves_printable_text_alone():
    assert escape("Grüße, 你好") == "Grüße, 你好"
