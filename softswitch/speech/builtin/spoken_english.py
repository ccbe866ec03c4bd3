"""Writes numbers the way English speakers say them, where a voice would read them wrong.

The voices read prices, dates, times and ordinary numbers well. What they do not know is when digits are not a
number: telephone numbers, codes and long references, which are said digit by digit, in groups.
"""

import re
from collections.abc import Callable

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES = (
    (1_000_000_000_000, "trillion"),
    (1_000_000_000, "billion"),
    (1_000_000, "million"),
    (1000, "thousand"),
)
_IRREGULAR = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
MONTHS = "January February March April May June July August September October November December".split()
LONGEST_NUMBER = 6
"""Digits without separators from which on they are a reference and no number: 7."""

_PHONE = re.compile(r"(?<![\w.])(\+?\(?\d[\d\s().\-/]{5,22}\d)(?![\w])")
_ISO_DATE = re.compile(r"(?<![\w-])(\d{4})-(\d{2})-(\d{2})(?![\w-])")
_LONG = re.compile(r"(?<![\w.,])\d{7,}(?![\w]|[.,]\d)")
_CODE = re.compile(r"(?<![\w.,:])0\d+(?![\w:]|[.,]\d)")
_CLOCK = re.compile(r"(?<![\w:])([01]?\d|2[0-3]):([0-5]\d)(?![\w:])(?!\s*[ap]\.?m)", re.IGNORECASE)


def cardinal(number: int) -> str:
    """Return a number, 0 or more and below 10^15, in words."""
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens] + (f" {ONES[ones]}" if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{ONES[hundreds]} hundred" + (f" {cardinal(rest)}" if rest else "")
    for size, name in _SCALES:
        if number >= size:
            count, rest = divmod(number, size)
            return f"{cardinal(count)} {name}" + (f" {cardinal(rest)}" if rest else "")
    raise AssertionError(number)


def ordinal(number: int) -> str:
    """Return ``first``, ``twenty third`` ... for a number above 0."""
    head, _, last = cardinal(number).rpartition(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    else:
        last = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return f"{head} {last}".strip()


def digits(text: str, group: int = 3) -> str:
    """Return the digits of a text one by one, with a short pause after each `group` of them."""
    found = [ONES[int(sign)] for sign in text if sign.isascii() and sign.isdigit()]
    # The last group takes up to one digit more: "four digits, then three" rather than a digit alone.
    groups: list[list[str]] = []
    while found:
        size = len(found) if len(found) <= group + 1 else group
        groups.append(found[:size])
        found = found[size:]
    return ", ".join(" ".join(part) for part in groups)


def characters(text: str) -> str:
    """Return letters and digits one by one, as a name is spelled."""
    return ", ".join(
        ONES[int(sign)] if sign.isascii() and sign.isdigit() else sign.upper()
        for sign in text
        if sign.isalnum()
    )


def telephone(text: str) -> str:
    """Return a telephone number as it is said: digit by digit, in the groups that it is written in."""
    groups = [part for part in re.split(r"[^\d]+", text) if part]
    spoken = ", ".join(
        " ".join(ONES[int(sign)] for sign in part) if len(part) <= 4 else digits(part) for part in groups
    )
    return f"plus {spoken}" if text.strip().startswith("+") else spoken


def date(year: int | None, month: int, day: int) -> str:
    """Return a date as it is said in the United States; without a month of that number, the numbers."""
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        return " ".join(cardinal(part) for part in (year, month, day) if part is not None)
    spoken = f"{MONTHS[month - 1]} {ordinal(day)}"
    return spoken if year is None else f"{spoken}, {year_words(year)}"


def year_words(year: int) -> str:
    """Return a year as it is said: nineteen eighty four, two thousand five, twenty twenty four."""
    century, rest = divmod(year, 100)
    if not 1000 <= year <= 2999 or (century % 10 == 0 and rest < 10):
        return cardinal(year)
    if not rest:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def clock(hours: int, minutes: int) -> str:
    """Return a time of day as it is said."""
    if not minutes:
        return cardinal(hours) + (" o'clock" if 1 <= hours <= 12 else " hundred hours")
    return f"{cardinal(hours)} {'oh ' if minutes < 10 else ''}{cardinal(minutes)}"


def spoken(text: str) -> str:
    """Return a sentence with its telephone numbers, codes, ISO dates and 24-hour times written out."""
    text = _ISO_DATE.sub(lambda m: date(int(m[1]), int(m[2]), int(m[3])), text)
    text = _PHONE.sub(_phone, text)
    text = _LONG.sub(lambda m: digits(m[0]), text)
    text = _CODE.sub(lambda m: digits(m[0], 4), text)
    return _CLOCK.sub(lambda m: clock(int(m[1]), int(m[2])), text)


def _phone(match: re.Match[str]) -> str:
    """Return a telephone number in words; what only looks like one is left alone."""
    written = match[1]
    count = sum(sign.isdigit() for sign in written)
    separated = len(re.split(r"[\s().\-/]+", written.strip("(+"))) > 1
    international = written.startswith("+")
    grouped = separated and not re.fullmatch(
        r"\d+(\.\d+)?|\d+/\d+(/\d+)?|(?!\d{3}-\d{4}$)\d{1,4}\s*-\s*\d{1,4}", written
    )
    if 7 <= count <= 15 and (international or (grouped and _looks_dialled(written))):
        return telephone(written)
    return match[0]


def _looks_dialled(written: str) -> bool:
    """Return whether groups of digits may be dialled: 555-0123, (415) 555-2671, 020 7946 0958."""
    groups = [part for part in re.split(r"[^\d]+", written) if part]
    return all(2 <= len(part) <= 6 for part in groups[1:]) and any(len(part) >= 3 for part in groups)


def _number(text: str, say: Callable[[int], str]) -> str:
    plain = re.sub(r"[\s,_]", "", text)
    matched = re.fullmatch(r"(\d{1,15})(?:st|nd|rd|th)?", plain, re.IGNORECASE)
    if matched is None:
        return text
    number = int(matched[1])
    return say(number) if number or say is cardinal else text


def _date(text: str, order: str) -> str:
    parts = [int(part) for part in re.findall(r"\d+", text)][:3]
    order = "".join(sign for sign in order.lower() if sign in "ymd")
    if not order:
        order = "ymd" if parts and parts[0] > 31 else "mdy"
    named = dict(zip(order, parts, strict=False))
    if "m" not in named or "d" not in named:
        return text
    return date(named.get("y"), named["m"], named["d"])


def _time(text: str) -> str:
    matched = re.fullmatch(
        r"\s*(\d{1,2}):(\d{2})(?::\d{2})?\s*(am|pm|a\.m\.|p\.m\.)?\s*", text, re.IGNORECASE
    )
    if matched is None:
        return text
    half = {"a": " A M", "p": " P M"}.get((matched[3] or " ")[0].lower(), "")
    return clock(int(matched[1]), int(matched[2])) + half


SAY_AS: dict[str, Callable[[str, str], str]] = {
    "cardinal": lambda text, _: _number(text, cardinal),
    "number": lambda text, _: _number(text, cardinal),
    "ordinal": lambda text, _: _number(text, ordinal),
    "digits": lambda text, _: digits(text),
    "characters": lambda text, _: characters(text),
    "spell-out": lambda text, _: characters(text),
    "verbatim": lambda text, _: characters(text),
    "telephone": lambda text, _: telephone(text),
    "date": _date,
    "time": lambda text, _: _time(text),
}
"""What ``interpret-as`` of SSML's ``say-as`` makes of a text, and of its ``format``."""
