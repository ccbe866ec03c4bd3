"""Epoch milliseconds as RFC 3339 text, by arithmetic: this package reads no clock and no time zones."""

import re
from typing import Final


def rfc3339(epoch_ms: int) -> str:
    """Return ``YYYY-MM-DDThh:mm:ss.mmmZ`` of epoch milliseconds (RFC 3339, UTC).

    The date comes from the number of days since 1970-03-01 shifted to years that begin in March, so that the
    leap day is the last of its year.
    """
    seconds, millis = divmod(epoch_ms, 1000)
    days, rest = divmod(seconds, 86_400)
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (month <= 2)
    hour, minute, second = rest // 3600, rest % 3600 // 60, rest % 60
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{millis:03d}Z"


_MOMENT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?"
)
_MONTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def epoch_ms_of(text: str, *, end: bool = False) -> int:
    """Return a date or a moment of ISO 8601 as epoch milliseconds; without an offset it is in UTC.

    Args:
        text: For example ``2026-01-15`` or ``2026-01-15T10:30:00Z``.
        end: Whether a date means its end, not its beginning.

    Raises:
        ValueError: It is neither.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError("not a date")
    year, month, day = (int(part) for part in found.groups()[:3])
    hour, minute, second = (int(part or 0) for part in found.groups()[3:6])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = _MONTHS[month - 1] + (leap and month == 2) if 1 <= month <= 12 else 0
    if not (year >= 1 and 1 <= day <= longest and hour < 24 and minute < 60 and second < 61):
        raise ValueError("no such date")
    # Days before the year, counted from the year 1; 719162 of them lie before 1970.
    years = year - 1
    days = years * 365 + years // 4 - years // 100 + years // 400 - 719_162
    days += sum(_MONTHS[: month - 1]) + (leap and month > 2) + day - 1
    if found[4] is None:
        return (days + end) * 86_400_000
    offset = found[7] or "Z"
    shift = 0 if offset == "Z" else int(f"{offset[0]}1") * (int(offset[1:3]) * 60 + int(offset[4:6]))
    return (((days * 24 + hour) * 60 + minute - shift) * 60 + second) * 1000
