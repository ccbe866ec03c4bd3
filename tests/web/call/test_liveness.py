import json

import pytest

from softswitch.web.call.liveness import pong


def test_a_ping_is_answered_with_its_request_id() -> None:
    answer = json.loads(pong('{"command":"ping","requestId":"7"}'))
    assert (answer["event"], answer["requestId"]) == ("pong", "7")
    assert answer["timestamp"] > 1_700_000_000_000
    assert "requestId" not in json.loads(pong('{"command":"ping"}'))


@pytest.mark.parametrize(
    "text",
    ["", "ping", '{"command":"tts","text":"\\"ping\\""}', '{"command":"tts","text":"ping"}',
     "[" * 300 + '"ping"',
     '{"command":"ping","requestId":5}'],
)  # fmt: skip
def test_every_other_text_is_left_to_the_commands(text: str) -> None:
    assert pong(text) == ""
