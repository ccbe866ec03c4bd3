"""Formatters of log records: JSON for programs, text for terminals."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from softswitch.log.masking import mask, mask_text

call_id: ContextVar[str] = ContextVar("call_id", default="")
"""Id of the call that the running task works for, "" for none."""

_trace_of: list[Callable[[str], str]] = []


def set_trace_of(trace_of: Callable[[str], str] | None) -> None:
    """Add the trace of each call to its records.

    Args:
        trace_of: returns the id of a call's trace, "" for none; None: records have no trace.
    """
    _trace_of[:] = [trace_of] if trace_of is not None else []


# Control and bidirectional characters, which json leaves unescaped and terminals or log viewers interpret.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextmanager
def for_call(identity: str) -> Iterator[None]:
    """Add the id of a call to every record within the block."""
    token = call_id.set(identity)
    try:
        yield
    finally:
        call_id.reset(token)


def escape(text: str) -> str:
    """Return `text` with the characters escaped that could forge or hide a line."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    given = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    # A record that names its call itself knows better than the task that writes it.
    call = given.get("call") or call_id.get()
    extras = {"call": "", **given} | {"call": call} if call else given
    if call and _trace_of and (trace := _trace_of[0](str(call))):
        extras = {**extras, "trace_id": trace}
    masked: dict[str, Any] = mask(extras)
    return masked


class JsonFormatter(logging.Formatter):
    """Formatter that writes a record as one JSON object in one line."""

    def __init__(self, worker: int = 0) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without a line end."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask_text(record.getMessage()),
        }
        if self._worker:
            entry["worker"] = self._worker
        for name, value in _extras(record).items():
            entry.setdefault(name, value)
        if record.exc_info:
            entry["exception"] = mask_text(self.formatException(record.exc_info))
        return escape(json.dumps(entry, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """Formatter for terminals: one line per record, with a traceback below it."""

    def __init__(self, worker: int = 0) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without a line end."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        name = record.name.removeprefix("softswitch.")
        parts = [f"{time} {record.levelname:<7} {name}: {mask_text(record.getMessage())}"]
        if self._worker:
            parts.append(f"worker={self._worker}")
        parts += [f"{key}={value}" for key, value in _extras(record).items()]
        line = escape(" ".join(parts))
        if record.exc_info:
            trace = mask_text(self.formatException(record.exc_info))
            line = "\n".join([line, *("    " + escape(row) for row in trace.splitlines())])
        return line
