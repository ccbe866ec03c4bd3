"""The table of callees."""

import re

import pytest

from softswitch.callees import CALLEES, known, reached_by_leg
from softswitch.settings import Route


@pytest.mark.parametrize(
    ("text", "name"),
    [("echo", "echo"), ("room:a", "room"), ("stream:wss://x", "stream"), ("user:alice", "user")],
)
def test_callee_of_the_switch_is_found_by_its_beginning(text: str, name: str) -> None:
    found = known(text)
    assert found is not None
    assert found.name == name
    assert re.fullmatch(found.pattern, text)


@pytest.mark.parametrize("text", ["", "+4930123", "sip:bob@example.org", "alice", "roomservice"])
def test_everything_else_is_a_number_or_a_uri(text: str) -> None:
    assert known(text) is None
    assert not reached_by_leg(text)


def test_only_endpoints_of_the_switch_are_dialled_for_a_client() -> None:
    texts = ("echo", "tone", "room:a", "stream:wss://x", "user:a", "echo:1", "room")
    assert [text for text in texts if reached_by_leg(text)] == ["echo", "tone", "room:a"]


@pytest.mark.parametrize("callee", CALLEES, ids=str)
def test_a_rule_may_lead_to_every_callee(callee: object) -> None:
    examples = {"user": "user:alice", "room": "room:1", "stream": "stream:wss://bot.example"}
    text = examples.get(str(callee).partition(":")[0], str(callee))
    assert Route(match="1", to=text).to == text
    with pytest.raises(ValueError, match=re.escape(str(callee))):
        Route(match="1", to="nowhere")
