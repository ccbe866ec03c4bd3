"""Digits in INFO requests: application/dtmf-relay and application/dtmf, as phones write them."""

import re

TYPES = ("application/dtmf-relay", "application/dtmf")
DEFAULT_MS = 160
MAX_MS = 5000

_SIGNAL = re.compile(r"^\s*Signal\s*=\s*(\S+)\s*$", re.IGNORECASE | re.MULTILINE)
_DURATION = re.compile(r"^\s*Duration\s*=\s*(\d{1,6})\s*$", re.IGNORECASE | re.MULTILINE)
_DIGITS = frozenset("0123456789*#ABCD")
# Some phones write the number of the RFC 4733 event in place of the character.
_EVENTS = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}


def read_digit(body: str, content_type: str) -> tuple[str, int] | None:
    """Return digit and duration in milliseconds of an INFO; None where it carries none.

    Args:
        body: of the request.
        content_type: in lower case, without parameters.
    """
    if content_type == TYPES[0]:
        signal = _SIGNAL.search(body)
        text = signal.group(1) if signal else ""
    elif content_type == TYPES[1]:
        signal = _SIGNAL.search(body)
        text = signal.group(1) if signal else body.strip()
    else:
        return None
    digit = _EVENTS.get(text, text.upper())
    if digit not in _DIGITS:
        return None
    duration = _DURATION.search(body)
    return digit, min(int(duration.group(1)), MAX_MS) if duration else DEFAULT_MS


def write_digit(digit: str, duration_ms: int = DEFAULT_MS) -> str:
    """Return the body of an application/dtmf-relay INFO."""
    return f"Signal={digit}\r\nDuration={duration_ms}\r\n"
