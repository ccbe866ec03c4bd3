import io
import json
import logging
from collections.abc import Iterator

import pytest

from softswitch.log import configure, escape, for_call


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


def test_escape_leaves_printable_text_alone():
    assert escape("Grüße, 你好") == "Grüße, 你好"
