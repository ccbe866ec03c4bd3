"""Entries as the text of a settings file: strings, numbers, lists and inline tables (TOML 1.0)."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def tables(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Return rows as `[[table]]` after `[[table]]`.

    Args:
        rows: Name of the table and its fields.
    """
    return "\n".join(f"[[{table}]]\n{_fields(fields)}" for table, fields in rows)


def _fields(fields: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in fields.items())


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    # A JSON string is a basic string of TOML, but for DEL, which JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(_value(one) for one in value)}]"
        case dict():
            return "{" + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + "}"
        case _:
            raise TypeError(f"{type(value).__name__} has no form in TOML")
