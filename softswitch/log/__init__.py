"""Logs: one line per record, as JSON or text, with the id of the call and without secrets.

Modules use `logging.getLogger(__name__)`, a constant message, and values in `extra`. Tasks of a call set its
id with `for_call`; every record within then has it.
"""

import logging
import sys
from typing import Literal, TextIO

from softswitch.log.lines import JsonFormatter, TextFormatter, call_id, escape, for_call, set_trace_of
from softswitch.log.masking import MASK, is_secret, mask, mask_text

__all__ = [
    "MASK",
    "JsonFormatter",
    "TextFormatter",
    "call_id",
    "configure",
    "escape",
    "for_call",
    "is_secret",
    "mask",
    "mask_text",
    "set_trace_of",
]


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    format: Literal["auto", "json", "text"] = "auto",  # noqa: A002  (the key of the settings)
    stream: TextIO | None = None,
    *,
    worker: int = 0,
) -> None:
    """Configure logging for the process; called once at the start.

    Args:
        level: lowest severity to write.
        format: `auto` is text on a terminal and JSON elsewhere.
        stream: output; None means standard error.
        worker: number of this process among several workers, which every line names; 0: it is alone.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    as_text = format == "text" or (format == "auto" and stream.isatty())
    handler.setFormatter(TextFormatter(worker) if as_text else JsonFormatter(worker))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    for verbose in ("aioice", "aiortc", "libav", "asyncio"):
        # These libraries log each packet or candidate at info level.
        logging.getLogger(verbose).setLevel(logging.INFO if level == "debug" else logging.WARNING)
