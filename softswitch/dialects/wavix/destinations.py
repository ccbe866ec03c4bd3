"""Whom a call may go to, as the wire names them."""

import re
from collections.abc import Collection

_NUMBER = re.compile(r"\+?[1-9][0-9]{2,14}")
_URI = re.compile(r"(sips?|tel):[^\s<>\"\\^`{|}]{1,250}")
_ROOM = re.compile(r"room:[A-Za-z0-9_-][A-Za-z0-9_.@:-]{0,127}")
_LOCAL = frozenset({"echo", "tone"})


def is_number(text: str) -> bool:
    """Tell whether a text is a number in the manner of E.164, with or without the plus."""
    return _NUMBER.fullmatch(text) is not None


def check_destination(text: str, users: Collection[str]) -> str | None:
    """Return what is wrong with a destination; None where a call can go there.

    Args:
        text: What was asked for.
        users: Names of those who have a phone here.
    """
    if text in _LOCAL or text in users or is_number(text) or _URI.fullmatch(text) or _ROOM.fullmatch(text):
        return None
    return "Must be a phone number in E.164 format, the name of a user, a SIP URI, echo, tone or room:<id>"
