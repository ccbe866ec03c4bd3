"""Reading of an `invite` whose option has wrong values: they stay at their defaults, and are named.

A call cannot live without the values of `ESSENTIAL`. Every other option is beyond the source document, and a
client in the field that has it wrong must not lose its call.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from softswitch.log.masking import mask
from softswitch.protocol.call_commands import Command

C = TypeVar("C", bound=Command)

ESSENTIAL: Final = frozenset({"offer", "codec", "caller", "callee"})
"""Options whose wrong values refuse the call."""
MAX_FAULTS: Final = 32
"""Wrong values that are dropped one by one; with more the command is refused."""
MAX_SHOWN: Final = 64
"""Characters of a wrong value that are repeated to the client."""

_PATH: Final = re.compile(r" - at `\$((?:\.\w+)+)")


def read(message: dict[str, Any], kind: type[C]) -> tuple[C, list[str]]:
    """Return a command with an option, and what was wrong in the option, by field.

    Args:
        message: The command as JSON.
        kind: Its struct.

    Raises:
        msgspec.ValidationError: Something is wrong outside the option, or in an essential part of it, or too
            much is wrong.
    """
    faults: list[str] = []
    while True:
        try:
            return msgspec.convert(message, kind, strict=False), faults
        except msgspec.ValidationError as error:
            path = _path(error)
            if path is None or len(faults) >= MAX_FAULTS:
                raise
            message, value = _without(message, path)
            faults.append(f"{'.'.join(path)}: {_complaint(path, value, kind, error)}; the default is used")


def _path(error: msgspec.ValidationError) -> tuple[str, ...] | None:
    """Return the names on the way to a wrong value of the option that may be dropped; else None."""
    found = _PATH.search(str(error))
    names = tuple(found[1][1:].split(".")) if found else ()
    if len(names) < 2 or names[0] != "option" or names[1] in ESSENTIAL:
        return None
    return names


def _without(message: dict[str, Any], path: tuple[str, ...]) -> tuple[dict[str, Any], object]:
    """Return a message without the value at a path, and the value."""
    name, *rest = path
    copy = dict(message)
    if not rest:
        return copy, copy.pop(name, None)
    copy[name], value = _without(copy[name], tuple(rest))
    return copy, value


def _complaint(
    path: tuple[str, ...], value: object, kind: type[Command], error: msgspec.ValidationError
) -> str:
    allowed = "" if "missing required" in str(error) else _allowed(path, kind)
    shown = repr(mask({path[-1]: value})[path[-1]])[:MAX_SHOWN]
    if allowed:
        return f"{shown} is not {allowed}"
    return str(error).partition(" - at ")[0]


def _allowed(path: tuple[str, ...], kind: type[Command]) -> str:
    """Return which values the field at a path has; empty where a sentence cannot say it."""
    at: inspect.Type = inspect.type_info(kind)
    for name in path:
        fields = [field for struct in _structs(at) for field in struct.fields if field.encode_name == name]
        if not fields:
            return ""
        at = fields[0].type
    said = [text for one in _parts(at) if (text := _values(one))]
    return " or ".join(said)


def _parts(info: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the alternatives of a type."""
    if isinstance(info, inspect.Metadata):
        yield from _parts(info.type)
    elif isinstance(info, inspect.UnionType):
        for one in info.types:
            yield from _parts(one)
    else:
        yield info


def _structs(info: inspect.Type) -> Iterator[inspect.StructType]:
    for one in _parts(info):
        if isinstance(one, inspect.StructType):
            yield one


def _values(info: inspect.Type) -> str:
    match info:
        case inspect.LiteralType():
            return "one of " + ", ".join(map(str, info.values))
        case inspect.IntType() | inspect.FloatType():
            return f"a {'whole ' if isinstance(info, inspect.IntType) else ''}number{_range(info)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.StrType():
            return "a text" + ("" if info.max_length is None else f" of at most {info.max_length} characters")
        case inspect.StructType():
            return "an object"
        case inspect.ListType():
            return "a list"
        case _:
            return ""


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    low = info.ge if info.ge is not None else info.gt
    if low is None or info.le is None:
        return ""
    return f" from {low} to {info.le}" if info.ge is not None else f" above {low}, up to {info.le}"
