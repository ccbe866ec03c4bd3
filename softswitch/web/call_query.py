"""Which calls a client wants, from the query of its request; and calls as CSV."""

import csv
import io
import re
import time
from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web

from softswitch.protocol.instants import epoch_ms_of, rfc3339
from softswitch.store.queries import CallQuery
from softswitch.store.store import CallRecord

_TEXTS = {
    "number": "number",
    "trunk": "trunk",
    "user": "user",
    "tag": "tag",
    "direction": "direction",
    "text": "transcript",
}
"""Parameters that are texts, and the conditions that they are."""
_OTHERS = frozenset(
    {"limit", "offset", "format", "from", "to", "state", "reason", "account", "cursor", "token", "appid"}
)
MOST_CHARACTERS = 200
COLUMNS = (
    "id", "type", "direction", "created_at", "answered_at", "ended_at", "duration_ms", "caller", "callee",
    "trunk", "user", "account", "tag", "reason", "code", "initiator", "codec", "recording",
)  # fmt: skip
_FORMULA = re.compile(r"[=@\t\r-]|\+(?![0-9]*$)")
"""Beginnings of a cell that a spreadsheet would compute; a number such as +4930 is not among them."""


def read_call_query(given: Mapping[str, str]) -> CallQuery:
    """Return which calls are wanted.

    Args:
        given: Parameters: from and to (ISO 8601), number, trunk, user, tag, direction, state (running, ended,
            answered, unanswered), reason (several with commas), account, text (words of the transcript),
            cursor.

    Raises:
        web.HTTPBadRequest: A parameter is wrong; the text names it.
    """
    for name, value in given.items():
        if name not in _TEXTS and name not in _OTHERS:
            known = ", ".join(sorted({*_TEXTS, *_OTHERS} - {"token", "appid"}))
            raise web.HTTPBadRequest(text=f"{name[:64]}: there is no such parameter; known are {known}")
        if name in _TEXTS and len(value) > MOST_CHARACTERS:
            raise web.HTTPBadRequest(text=f"{name} must have at most {MOST_CHARACTERS} characters")
    state = _one_of(given, "state", ("ended", "running", "answered", "unanswered"))
    _one_of(given, "format", ("json", "csv"))
    texts = {condition: given.get(name, "") for name, condition in _TEXTS.items()}
    return CallQuery(
        **texts,  # type: ignore[arg-type]
        ended=state != "running",
        answered={"answered": True, "unanswered": False}.get(state),
        account=given.get("account"),
        since_ms=_moment(given, "from"),
        until_ms=_moment(given, "to"),
        reasons=tuple(filter(None, given.get("reason", "")[:1000].split(","))),
        before=_cursor(given.get("cursor", "")),
    )


def cursor_of(record: CallRecord) -> str:
    """Return the cursor that leads to the calls behind a record."""
    return f"{record.created_at}.{record.id}"


def read_forget(body: bytes) -> tuple[str, int]:
    """Return account and time (epoch milliseconds) of `{"account": ..., "before": ...}`.

    Raises:
        web.HTTPBadRequest: A field is missing or wrong.
    """
    try:
        wish = msgspec.json.decode(body, type=_Forget)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    moment = _moment({"before": wish.before} if wish.before else {}, "before")
    return wish.account, int(time.time() * 1000) if moment is None else moment


class _Forget(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    before: str = ""


def csv_head() -> bytes:
    """Return the line of the names of the columns."""
    return _csv([COLUMNS])


def csv_rows(records: Sequence[CallRecord]) -> bytes:
    """Return records as lines of CSV; a cell that a spreadsheet would compute begins with an apostrophe."""
    return _csv([[_cell(record, column) for column in COLUMNS] for record in records])


def _cell(record: CallRecord, column: str) -> str:
    value = getattr(record, {"type": "kind"}.get(column, column))
    if column.endswith("_at"):
        return "" if value is None else rfc3339(value)
    text = str(value)
    return f"'{text}" if isinstance(value, str) and _FORMULA.match(text) else text


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _one_of(given: Mapping[str, str], name: str, known: Sequence[str]) -> str:
    value = given.get(name, known[0])
    if value not in known:
        raise web.HTTPBadRequest(text=f"{name} must be one of {', '.join(known)}")
    return value


def _moment(given: Mapping[str, str], name: str) -> int | None:
    if name not in given:
        return None
    try:
        return epoch_ms_of(given[name], end=name == "to")
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{name}: {error}; write 2026-11-29 or 2026-11-29T10:00:00Z") from None


def _cursor(text: str) -> tuple[int, str] | None:
    if not text:
        return None
    at, _, call_id = text.partition(".")
    if not at.isdecimal() or len(at) > 15 or not call_id or len(call_id) > 128:
        raise web.HTTPBadRequest(text="cursor must be one that an answer had")
    return int(at), call_id
