"""Persistence: records of calls, rooms and sessions, recordings, and dumps of calls."""

from softswitch.store.folder import is_safe_name
from softswitch.store.sqlite import SqliteStore
from softswitch.store.store import (
    CallRecord,
    Counters,
    Dump,
    NewRecording,
    Recording,
    Store,
    Swept,
)

__all__ = [
    "CallRecord",
    "Counters",
    "Dump",
    "NewRecording",
    "Recording",
    "SqliteStore",
    "Store",
    "Swept",
    "is_safe_name",
]
