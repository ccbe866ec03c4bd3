"""Writes the commands and events of one call, masked and within bounds, as JSON lines (``?dump=``)."""

import time

import msgspec

from softswitch.call.vocabulary.events import Event
from softswitch.dialects.bounds import is_crowded
from softswitch.dialects.rustpbx import render
from softswitch.log import mask
from softswitch.store.store import Store


class Dump:
    """A subscriber that writes events to the dump of a call."""

    def __init__(self, store: Store, call_id: str) -> None:
        """Write to the dump of a call."""
        self._store = store
        self._call_id = call_id

    def command(self, text: str) -> None:
        """Write a command down."""
        self._write("command", text)

    def event(self, event: Event, seq: int) -> None:
        """Write an event down."""
        self._write("event", render(event, seq))

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Do nothing: the store closes its files."""

    def _write(self, what: str, text: str) -> None:
        try:
            shown = f"<{len(text)} characters>" if is_crowded(text) else mask(msgspec.json.decode(text))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            shown = mask(text[:1000])
        line = {"at": int(time.time() * 1000), what: shown}
        self._store.dump(self._call_id, msgspec.json.encode(line).decode())
