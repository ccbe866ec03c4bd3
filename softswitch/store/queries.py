"""Which records of calls and recordings are wanted; the stores translate it to SQL."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from softswitch.store.words import matching

LIKE_ESCAPE: Final = "\\"


class CallQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on calls; all must hold."""

    ended: bool = True
    """Whether the calls have ended; False: they go on."""
    before: tuple[int, str] | None = None
    """Only calls behind the one that began then (epoch milliseconds) and has this id, the newest first."""
    number: str = ""
    """Text that the caller or the callee contains."""
    user: str = ""
    tag: str = ""
    tag_begins: str = ""
    """Text that the tag begins with."""
    transcript: str = ""
    """Words that the stored transcript contains, all of them or longer ones that begin so, in any case."""

    account: str | None = None
    """Account that the calls belong to; None: any."""
    since_ms: int | None = None
    """Earliest beginning, epoch milliseconds."""
    until_ms: int | None = None
    """Beginning before this time, epoch milliseconds."""
    direction: str = ""
    caller: str = ""
    """Text that the caller contains."""
    callee: str = ""
    """Text that the callee contains."""
    call_id: str = ""
    trunk: str = ""
    answered: bool | None = None
    reasons: tuple[str, ...] = ()
    """Reasons of the end, one of which is wanted."""
    other_than: tuple[str, ...] = ()
    """Reasons of the end that are not wanted."""
    least_ms: int = 0
    """Shortest duration, milliseconds."""


class RecordingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on recordings; all must hold."""

    account: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    call_id: str = ""


Values = tuple[str | int, ...]
Match = Callable[[str, Sequence[str]], tuple[str, str]]
"""Returns the condition for words, and its value; see `softswitch.store.tables.Reading.matching`."""


def calls_where(query: CallQuery, match: Match) -> tuple[str, Values]:
    """Return the SQL condition for calls, with its values; `match` is that of the database's index."""
    conditions = [f"ended_at IS {'NOT ' if query.ended else ''}NULL"]
    values: list[str | int] = []
    _between(query.account, query.since_ms, query.until_ms, conditions, values)
    if query.before is not None:
        conditions.append("(created_at, id) < (?, ?)")
        values += query.before
    exact = ("direction", query.direction), ("id", query.call_id), ("trunk", query.trunk)
    for column, value in (*exact, ("user", query.user), ("tag", query.tag)):
        if value:
            conditions.append(f"{column} = ?")
            values.append(value)
    if query.tag_begins:
        conditions.append(f"tag LIKE ? ESCAPE '{LIKE_ESCAPE}'")
        values.append(f"{_literal(query.tag_begins)}%")
    for column, text in (("caller", query.caller), ("callee", query.callee)):
        if text:
            conditions.append(f"{column} LIKE ? ESCAPE '{LIKE_ESCAPE}'")
            values.append(f"%{_literal(text)}%")
    if query.number:
        conditions.append(f"(caller LIKE ? ESCAPE '{LIKE_ESCAPE}' OR callee LIKE ? ESCAPE '{LIKE_ESCAPE}')")
        values += [f"%{_literal(query.number)}%"] * 2
    if query.transcript:
        account_word, beginnings = matching(query.transcript, query.account)
        if beginnings:
            condition, wanted = match(account_word, beginnings)
            conditions.append(f"{_WITH_WORDS}{condition})")
            values.append(wanted)
        else:
            conditions.append("1 = 0")
    if query.answered is not None:
        conditions.append(f"answered_at IS {'NOT ' if query.answered else ''}NULL")
    for negation, reasons in (("", query.reasons), ("NOT ", query.other_than)):
        if reasons:
            conditions.append(f"reason {negation}IN ({', '.join('?' * len(reasons))})")
            values += reasons
    if query.least_ms:
        conditions.append("duration_ms >= ?")
        values.append(query.least_ms)
    return _where(conditions), tuple(values)


_WITH_WORDS: Final = "(id, created_at) IN (SELECT call_id, created_at FROM transcript_words WHERE "


def recordings_where(query: RecordingQuery) -> tuple[str, Values]:
    """Return the SQL condition for recordings, with its values."""
    conditions: list[str] = []
    values: list[str | int] = []
    _between(query.account, query.since_ms, query.until_ms, conditions, values)
    if query.call_id:
        conditions.append("call_id = ?")
        values.append(query.call_id)
    return _where(conditions), tuple(values)


def _between(
    account: str | None,
    since_ms: int | None,
    until_ms: int | None,
    conditions: list[str],
    values: list[str | int],
) -> None:
    if account is not None:
        conditions.append("account = ?")
        values.append(account)
    if since_ms is not None:
        conditions.append("created_at >= ?")
        values.append(since_ms)
    if until_ms is not None:
        conditions.append("created_at < ?")
        values.append(until_ms)


def _where(conditions: list[str]) -> str:
    return f"WHERE {' AND '.join(conditions)} " if conditions else ""


def _literal(text: str) -> str:
    """Return a text for LIKE in which no character stands for others."""
    for mark in (LIKE_ESCAPE, "%", "_"):
        text = text.replace(mark, LIKE_ESCAPE + mark)
    return text
