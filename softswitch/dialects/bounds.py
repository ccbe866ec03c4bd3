"""How much one message may hold, in any dialect: what is beyond it is refused before it is looked at.

Each value costs the loop a few microseconds, whatever is done with it, and all calls share the loop.
"""

MAX_VALUES = 2000
"""Values in one message, those inside of others counted too."""
MAX_DEPTH = 8
"""Levels of an object of a client that is kept as it is."""
MOST_BRACKETS = 16_000
"""Brackets that open in the text of one message; those of a text that is to be spoken are among them."""


class TooMany(ValueError):
    """A message holds more values than any that makes sense."""


def is_crowded(text: str | bytes) -> bool:
    """Tell from a text alone that it holds too many lists and objects to be worth decoding."""
    if len(text) <= MOST_BRACKETS:
        return False
    if isinstance(text, bytes):
        return text.count(b"[") + text.count(b"{") > MOST_BRACKETS
    return text.count("[") + text.count("{") > MOST_BRACKETS


def count(message: object) -> None:
    """Make sure that a message has a bounded number of values, before anything is done with each of them.

    Args:
        message: as decoded from JSON.

    Raises:
        TooMany: beyond `MAX_VALUES`.
    """
    left = MAX_VALUES
    containers = [message]
    while containers:
        container = containers.pop()
        if not isinstance(container, dict | list):
            continue
        left -= len(container)
        if left < 0:
            raise TooMany(f"more than {MAX_VALUES} values in one message")
        containers.extend(container.values() if isinstance(container, dict) else container)


def too_deep(value: object, depth: int = MAX_DEPTH) -> bool:
    """Tell whether a value is nested deeper than ``depth``."""
    if depth == 0:
        return True
    if isinstance(value, dict):
        return any(too_deep(each, depth - 1) for each in value.values())
    return isinstance(value, list) and any(too_deep(each, depth - 1) for each in value)
