"""The reference pages say what the code says, every field has a text, and every example is real."""

import importlib.util
import json
import re
import tomllib
from types import ModuleType
from typing import get_args

import msgspec
import pytest

from softswitch.dialects.rooms import messages
from softswitch.dialects.rooms.wording import error_code
from softswitch.dialects.rustpbx import parse
from softswitch.protocol import call_commands
from softswitch.room.rejection import RoomReason, RoomRefused
from tests.conftest import ROOT

WORDS = tomllib.loads((ROOT / "scripts" / "reference.toml").read_text("utf-8"))
COMMANDS = {kind.__struct_config__.tag: kind for kind in get_args(call_commands.WireCommand)}


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(reference) -> dict[str, str]:
    made: dict[str, str] = reference.pages()
    return made


def test_pages_are_what_the_code_says(pages):
    for name, text in pages.items():
        written = (ROOT / "docs" / "reference" / name).read_text("utf-8")
        assert written == text, f"docs/reference/{name}: run `python scripts/reference.py --write`"


def test_every_field_has_a_text(pages):
    for name, text in pages.items():
        for line in text.splitlines():
            cells = re.split(r"(?<!\\)\|", line)
            if line.startswith("| `") and name not in ("rest.md", "command-line.md"):
                assert cells[-2].strip(), f"{name}: {line}: add the field to scripts/reference.toml"


def test_every_route_has_a_text(pages):
    for line in pages["rest.md"].splitlines():
        if re.match(r"\| `[A-Z]+ /", line):
            text = re.split(r"(?<!\\)\|", line)[3]
            assert text.strip(), f"{line}: add the route to scripts/reference.toml"


def test_words_name_only_what_exists(reference):
    assert set(WORDS["commands"]) == set(COMMANDS)
    assert set(WORDS["events"]) == {kind.__struct_config__.tag for kind in reference.events()}
    known = {f"{route.method} {route.path}" for route in reference.ROUTES}
    assert set(WORDS["routes"]) <= known
    assert {one["same_as"] for one in WORDS["routes"].values() if "same_as" in one} <= known
    assert set(WORDS["metrics"]) <= {name for name, *_ in reference.families()}


@pytest.mark.parametrize("name", sorted(WORDS["commands"]))
def test_example_of_a_command_is_one_the_switch_takes(name):
    example = WORDS["commands"][name]["example"]
    assert json.loads(example)["command"] == name
    parse(example)


def test_examples_of_events_are_read_as_these_events(reference):
    for kind in reference.events():
        tag = kind.__struct_config__.tag
        assert tag in WORDS["events"], f"add [events.{tag}] to scripts/reference.toml"
        example = WORDS["events"][tag]["example"]
        fields = set(json.loads(example)) - {"event"}
        assert isinstance(msgspec.json.decode(example, type=kind), kind)
        assert fields <= set(kind.__struct_encode_fields__)


ROOMS = (ROOT / "docs" / "reference" / "rooms.md").read_text("utf-8")
ROOM_MESSAGES = [
    line for block in re.findall(r"(?ms)^```json\n(.*?)^```$", ROOMS) for line in block.splitlines()
]


@pytest.mark.parametrize("example", ROOM_MESSAGES, ids=lambda example: json.loads(example)["type"])
def test_example_of_a_room_message_is_one_the_switch_takes(example):
    messages.parse(example)


def test_page_of_rooms_has_every_message_of_clients():
    with pytest.raises(RoomRefused) as refused:
        messages.parse('{"type": "unknown"}')
    known = str(refused.value).partition("one of ")[2].split(", ")
    assert "room:join" in known
    assert sorted(known) == sorted(json.loads(example)["type"] for example in ROOM_MESSAGES)


def test_page_of_rooms_has_every_error():
    assert all(f"`{code}`" in ROOMS for code in map(error_code, RoomReason))


def test_every_object_of_a_command_has_an_example_that_its_struct_reads(reference):
    for kind in reference.nested(reference.commands()):
        example = WORDS["options"].get(kind.__name__)
        assert example, f"add {kind.__name__} to [options] of scripts/reference.toml"
        given = msgspec.json.decode(example)
        assert given.keys() <= set(kind.__struct_encode_fields__)
        msgspec.convert(given, kind)
