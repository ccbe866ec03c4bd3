"""Make one line of a record: JSON for programs, text for people."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from softswitch.log.masking import mask, mask_text

call_id: ContextVar[str] = ContextVar("call_id", default="")
"""The call that the running task works for."""

# json leaves these as they are; a terminal or a log viewer would act on them.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextmanager
def for_call(identity: str) -> Iterator[None]:
    """Name the call in every record made inside the block."""
    token = call_id.set(identity)
    try:
        yield
    finally:
        call_id.reset(token)


def escape(text: str) -> str:
    """Return the text with every character that could forge or hide a line written as an escape."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    extras = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    masked: dict[str, Any] = mask(extras)
    return masked


class JsonFormatter(logging.Formatter):
    """Write a record as one JSON object in one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask_text(record.getMessage()),
        }
        if call := call_id.get():
            entry["call"] = call
        for name, value in _extras(record).items():
            entry.setdefault(name, value)
        if record.exc_info:
            entry["exception"] = mask_text(self.formatException(record.exc_info))
        return escape(json.dumps(entry, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """Write a record for a person at a terminal: in one line, but for the traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        name = record.name.removeprefix("softswitch.")
        parts = [f"{time} {record.levelname:<7} {name}: {mask_text(record.getMessage())}"]
        if call := call_id.get():
            parts.append(f"call={call}")
        parts += [f"{key}={value}" for key, value in _extras(record).items()]
        line = escape(" ".join(parts))
        if record.exc_info:
            trace = mask_text(self.formatException(record.exc_info))
            line = "\n".join([line, *("    " + escape(row) for row in trace.splitlines())])
        return line
