"""Write logs: one line a record, as JSON or as text, with the call's id and without any secret.

Use `logging.getLogger(__name__)`, a static message, and data in `extra`. Whoever works for a call sets
`call_id` in its context; every record made there then names the call.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

MASK = "***"

call_id: ContextVar[str] = ContextVar("call_id", default="")
"""The call that the running task works for."""

_SECRET_WORDS = ("password", "passwd", "secret", "token", "credential", "apikey", "authorization", "icepwd")
_SECRET_NAMES = frozenset({"appid", "resume", "cookie", "pwd"})
_SECRET_TEXT = re.compile(
    r"(?P<before>"
    r"a=crypto:[^\r\n]*?inline:|a=ice-pwd:"  # SDP: RFC 4568, RFC 8839
    r"|\b(?:bearer|basic)\s+"  # Authorization: RFC 6750, RFC 7617
    r"|\bresponse=\"?"  # digest: RFC 7616
    r"|[?&](?:token|appid|access_token|api_?key|secret|password|signature)="  # URLs
    r"|\b[a-z][a-z0-9+.-]*://[^/\s:@]*:(?=[^/\s@]*@)"  # user:password@host
    r")(?P<secret>[^\s\"&|,@]+)",
    re.IGNORECASE,
)
# json leaves these as they are; a terminal or a log viewer would act on them.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def is_secret(name: str) -> bool:
    """Tell whether the value of a key of this name is to be hidden, whatever its spelling."""
    plain = name.lower().replace("_", "").replace("-", "")
    return plain in _SECRET_NAMES or any(word in plain for word in _SECRET_WORDS)


def mask_text(text: str) -> str:
    """Return the text with keys of SDP, authorization headers and URLs replaced by stars."""
    return _SECRET_TEXT.sub(rf"\g<before>{MASK}", text)


def mask(value: Any, depth: int = 16) -> Any:
    """Return a copy of plain data (as of JSON) with every secret replaced by stars.

    Args:
        value: mappings, sequences, texts, numbers; anything else is shown by `str`.
        depth: how deep to look; what lies deeper is left out.
    """
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return mask_text(value)
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Mapping() | Sequence() | set() | frozenset():
            return _mask_inside(value, depth - 1) if depth else "..."
        case _:
            return mask_text(str(value))


def _mask_inside(value: Any, depth: int) -> Any:
    if not isinstance(value, Mapping):
        return [mask(item, depth) for item in value]
    return {
        str(key): MASK if is_secret(str(key)) and not _is_nothing(item) else mask(item, depth)
        for key, item in value.items()
    }


def _is_nothing(value: object) -> bool:
    return value is None or value == "" or isinstance(value, bool)


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


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    format: Literal["auto", "json", "text"] = "auto",  # noqa: A002  (the key of the settings)
    stream: TextIO | None = None,
) -> None:
    """Send every record of the process to one stream; call it once, at the start.

    Args:
        level: least severity that is written.
        format: `auto` is text on a terminal and JSON elsewhere.
        stream: where to; standard error if None.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    as_text = format == "text" or (format == "auto" and stream.isatty())
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    for wordy in ("aioice", "aiortc", "libav", "asyncio"):
        # They tell every packet or candidate; at our info level only their warnings matter.
        logging.getLogger(wordy).setLevel(logging.INFO if level == "debug" else logging.WARNING)


@contextmanager
def for_call(identity: str) -> Iterator[None]:
    """Name the call in every record made inside the block."""
    token = call_id.set(identity)
    try:
        yield
    finally:
        call_id.reset(token)
