"""Destinations of calls as Wavix clients write them."""

import re
from collections.abc import Collection

from softswitch.callees import CALLEES

_NUMBER = re.compile(r"\+?[1-9][0-9]{2,14}")
_URI = re.compile(r"(sips?|tel):[^\s<>\"\\^`{|}]{1,250}")
_ROOM = re.compile(r"room:[A-Za-z0-9_-][A-Za-z0-9_.@:-]{0,127}")
_AGENT = re.compile(r"agent:[A-Za-z0-9_.+*#-]{1,64}")
_LOCAL = frozenset(callee.name for callee in CALLEES if not callee.argument)


def is_number(text: str) -> bool:
    """Tell whether a text is a number in the manner of E.164, with or without the plus."""
    return _NUMBER.fullmatch(text) is not None


def check_destination(text: str, users: Collection[str]) -> str | None:
    """Return what is wrong with a destination, or None for a valid one.

    Args:
        text: The destination.
        users: Names of the users of the settings.
    """
    if text in _LOCAL or text in users or is_number(text):
        return None
    if any(pattern.fullmatch(text) for pattern in (_URI, _ROOM, _AGENT)):
        return None
    return (
        "Must be a phone number in E.164 format, the name of a user, a SIP URI, echo, tone, room:<id> or "
        "agent:<name>"
    )
