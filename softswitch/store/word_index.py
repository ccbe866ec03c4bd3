"""Rows that keep the index of the words of transcripts beside the calls."""

from collections.abc import Sequence

from softswitch.store.database import Row
from softswitch.store.store import CallRecord
from softswitch.store.tables import SAVE_CALL, SAVE_WORDS
from softswitch.store.words import indexed

_ID, _CREATED, _ACCOUNT, _TRANSCRIPT = (
    CallRecord.__struct_fields__.index(name) for name in ("id", "created_at", "account", "transcript_json")
)


def with_words(rows: Sequence[Row]) -> tuple[list[Row], list[bool]]:
    """Return rows with those of their words behind them, and for each whether it was given."""
    found: list[Row] = []
    given: list[bool] = []
    for row in rows:
        found.append(row)
        given.append(True)
        if row.statement == SAVE_CALL and row.values[_TRANSCRIPT]:
            words = indexed(str(row.values[_ACCOUNT]), str(row.values[_TRANSCRIPT]))
            found.append(Row(SAVE_WORDS, (row.values[_ID], row.values[_CREATED], words)))
            given.append(False)
    return found, given
