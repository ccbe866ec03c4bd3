"""Write logs: one line a record, as JSON or as text, with the call's id and without any secret.

Use `logging.getLogger(__name__)`, a static message, and data in `extra`. Whoever works for a call sets
`call_id` in its context (`for_call`); every record made there then names the call.
"""

import logging
import sys
from typing import Literal, TextIO

from softswitch.log.lines import JsonFormatter, TextFormatter, call_id, escape, for_call
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
]


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
