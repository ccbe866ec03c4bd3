"""Rows that could not be written, kept in order until the database is back.

They are kept in a file of the data folder, and in memory where the disk is full. Both are bounded in bytes.
The file outlives the process: the next start writes its rows first.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from softswitch.errors import UnavailableError
from softswitch.store.database import Row
from softswitch.store.tables import KEPT, kept_row

logger = logging.getLogger(__name__)

NAME = "spool.jsonl"
"""Name of the file in the data folder; a line is a JSON array: name of the statement, values by column."""
MEMORY_BYTES = 16_000_000
BATCH = 256
"""Rows that are written in one transaction."""

Write = Callable[[Sequence[Row]], Sequence[bool]]


class Spool:
    """Bounded queue of rows in a file and in memory, used by one thread at a time."""

    def __init__(self, path: Path, *, disk_bytes: int, memory_bytes: int = MEMORY_BYTES) -> None:
        """Create an empty spool; `open` counts the rows that an earlier process left.

        Args:
            path: file of the spool; it exists only while it contains rows.
            disk_bytes: largest size of the file.
            memory_bytes: most bytes of rows in memory.
        """
        self._path = path
        self._disk_bytes = disk_bytes
        self._memory_bytes = memory_bytes
        self._memory: deque[bytes] = deque()
        self._in_memory = 0
        self._in_file = 0
        self._lines = 0
        self._done = 0
        """Bytes at the beginning of the file that were written already."""

    def __len__(self) -> int:
        """Return the number of rows that wait."""
        return self._lines + len(self._memory)

    @property
    def size(self) -> int:
        """Bytes that wait, in the file and in memory."""
        return self._in_file - self._done + self._in_memory

    @property
    def in_memory(self) -> int:
        """Rows that wait in memory."""
        return len(self._memory)

    def open(self) -> None:
        """Count the rows in the file; an incomplete last line is cut off.

        Raises:
            OSError: The file cannot be read or written.
        """
        self._lines = self._in_file = self._done = 0
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    self._lines += 1
                    self._in_file += len(line)
        os.truncate(self._path, self._in_file)

    def add(self, rows: Sequence[Row]) -> list[bool]:
        """Keep rows; return for each whether it is kept.

        A row is lost if file and memory are full, if its statement is not one of `KEPT`, or if a text in it
        is not Unicode.
        """
        lines = [_encode(row) for row in rows]
        fits = [line is not None for line in lines]
        waiting = [(number, line) for number, line in enumerate(lines) if line is not None]
        # Rows keep their order, so nothing goes to the file while older rows are in memory.
        if not self._memory and self._append([line for _, line in waiting]):
            return fits
        for number, line in waiting:
            if self._in_memory + len(line) > self._memory_bytes:
                fits[number] = False
                continue
            self._memory.append(line)
            self._in_memory += len(line)
        return fits

    def _append(self, lines: Sequence[bytes]) -> bool:
        """Append lines to the file; return False if they do not fit or the disk fails."""
        data = b"".join(lines)
        if not data:
            return True
        if self._in_file + len(data) > self._disk_bytes:
            return False
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags, 0o600)
        except OSError:
            return False
        try:
            left, at = memoryview(data), self._in_file
            while left:
                count = os.pwrite(descriptor, left, at)
                left, at = left[count:], at + count
            os.fdatasync(descriptor)
        except OSError:
            # What was written of it is overwritten by the next append, or cut off by the next `open`.
            _truncate(descriptor, self._in_file)
            return False
        finally:
            os.close(descriptor)
        self._in_file += len(data)
        self._lines += len(lines)
        return True

    def replay(self, write: Write) -> tuple[int, int]:
        """Write all rows in their order; return the numbers of rows stored and lost.

        Args:
            write: writes rows in one transaction; see `Writing.write`.

        Raises:
            UnavailableError: The database cannot be written; the rows not yet written stay.
        """
        stored = lost = 0
        for lines in self._file_batches():
            good, bad = _write(lines, write)
            self._done += sum(map(len, lines))
            self._lines -= len(lines)
            stored, lost = stored + good, lost + bad
        if self._in_file:
            # A file that cannot be deleted is written again by the next start; the rows are the same.
            _unlink(self._path)
            self._in_file = self._done = self._lines = 0
        while self._memory:
            lines = [self._memory[number] for number in range(min(BATCH, len(self._memory)))]
            good, bad = _write(lines, write)
            for line in lines:
                self._memory.popleft()
                self._in_memory -= len(line)
            stored, lost = stored + good, lost + bad
        return stored, lost

    def _file_batches(self) -> Iterator[list[bytes]]:
        if not self._in_file:
            return
        try:
            with self._path.open("rb") as file:
                file.seek(self._done)
                lines: list[bytes] = []
                while (line := file.readline()).endswith(b"\n"):
                    lines.append(line)
                    if len(lines) == BATCH:
                        yield lines
                        lines = []
                if lines:
                    yield lines
        except OSError as error:
            raise UnavailableError(f"{self._path.name} cannot be read: {error.strerror}") from error


def _encode(row: Row) -> bytes | None:
    kept = KEPT.get(row.statement)
    if kept is None:
        return None
    try:
        return msgspec.json.encode([kept.name, dict(zip(kept.columns, row.values, strict=True))]) + b"\n"
    except UnicodeEncodeError:
        return None


def _write(lines: Sequence[bytes], write: Write) -> tuple[int, int]:
    rows = [row for line in lines if (row := _decode(line)) is not None]
    stored = sum(write(rows)) if rows else 0
    return stored, len(lines) - stored


def _decode(line: bytes) -> Row | None:
    try:
        name, values = msgspec.json.decode(line, type=tuple[str, dict[str, str | int | None]])
        return kept_row(name, values)
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        logger.warning("a row of the spool cannot be read and is lost")
        return None


def _truncate(descriptor: int, size: int) -> None:
    try:
        os.ftruncate(descriptor, size)
    except OSError as error:
        logger.warning("the spool cannot be cut", extra={"reason": error.strerror})


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("the spool cannot be deleted", extra={"reason": error.strerror})
