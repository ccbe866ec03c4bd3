"""Entries as the text of a settings file."""

import tomllib

from softswitch.switch.administration.toml import tables


def test_text_is_read_back_as_it_was() -> None:
    fields = {
        "name": 'a "quote" \\ \n ü \x7f \u0001',
        "flag": True,
        "number": 3,
        "ratio": 0.5,
        "list": ["a", "b"],
        "pairs": [["^0", "+49"]],
        "options": {"a key": 1, "b": False},
    }
    text = tables([("trunk", fields), ("speech.provider", {"name": "p"}), ("trunk", {"name": "u"})])
    assert tomllib.loads(text) == {
        "trunk": [fields, {"name": "u"}],
        "speech": {"provider": [{"name": "p"}]},
    }
