"""Persistence: records of calls, rooms and sessions, recordings, and dumps of calls."""

from softswitch.store.database_store import DatabaseStore
from softswitch.store.folder import is_safe_name
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
    "DatabaseStore",
    "Dump",
    "NewRecording",
    "Recording",
    "Store",
    "Swept",
    "is_safe_name",
]
