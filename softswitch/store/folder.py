"""A folder of files whose names come from clients.

A name is one path component that follows the rule for call ids, so it cannot lead out of the folder. Symbolic
links are not followed, so a file in the folder cannot either.
"""

import errno
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.@:-]{0,127}")
_SAFE_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""O_NONBLOCK: opening a FIFO must not block."""

_NOT_THERE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO})
"""Errors for a missing file, a symbolic link, and a socket."""


def is_safe_name(name: str) -> bool:
    """Return whether a text follows the rule for call ids, and so may be part of a file name."""
    return _NAME.fullmatch(name) is not None


class File(NamedTuple):
    """A file of a folder."""

    name: str
    size: int
    """Bytes."""
    modified_at: int
    """Epoch milliseconds."""


class Folder:
    """A folder; all methods access the disk, so they are kept off the event loop."""

    def __init__(self, root: Path, suffix: str = "") -> None:
        """Create an object for the folder `root`; file names are names with `suffix` appended."""
        self.root = root
        self._suffix = suffix

    def make(self) -> None:
        """Create the folder, accessible to this user only, unless it exists."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, name: str) -> Path | None:
        """Return the path of a regular file with a safe name, None if there is no such file."""
        place = self._place(name)
        try:
            if place is None or not stat.S_ISREG(place.lstat().st_mode):
                return None
        except OSError:
            return None
        return place

    def create(self, name: str) -> Path:
        """Create an empty file.

        Raises:
            ValueError: The name is not safe.
            FileExistsError: A file or link of that name exists.
        """
        place = self._place(name)
        if place is None:
            raise ValueError("the name is not safe as a file name")
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _SAFE_FLAGS, 0o600))
        return place

    def open(self, name: str) -> BinaryIO | None:
        """Open a regular file for reading; return None if there is no such file.

        Raises:
            OSError: The disk failed.
        """
        try:
            descriptor = self._descriptor(name, os.O_RDONLY)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise
        return None if descriptor is None else os.fdopen(descriptor, "rb")

    def append(self, name: str, pieces: Sequence[bytes], bound: int, mark: bytes) -> int:
        """Append to a file of at most `bound` bytes; create it if necessary.

        The first piece that does not fit is replaced by `mark`, and nothing is written after a mark: a file
        is either complete or marked.

        Args:
            name: name of the file.
            pieces: data to append.
            bound: largest size of the file, in bytes.
            mark: last piece of an incomplete file.

        Returns:
            The number of pieces written.

        Raises:
            OSError: The disk failed, the name is not safe, or it names a link or device.
        """
        descriptor = self._descriptor(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        if descriptor is None:
            raise FileNotFoundError(errno.ENOENT, "not a regular file with a safe name")
        try:
            size = os.fstat(descriptor).st_size
            if _ends_with(descriptor, size, mark):
                return 0
            fitting = _fitting(pieces, bound - len(mark) - size)
            whole = b"".join(pieces[:fitting])
            _write_all(descriptor, whole if fitting == len(pieces) else whole + mark)
        finally:
            os.close(descriptor)
        return fitting

    def delete(self, name: str) -> bool:
        """Delete a regular file; return False if there is no such file."""
        place = self.path(name)
        if place is None:
            return False
        place.unlink(missing_ok=True)
        return True

    def files(self) -> list[File]:
        """Return the regular files with safe names and the suffix, the newest first."""
        found = []
        with os.scandir(self.root) as entries:
            for entry in entries:
                name = entry.name.removesuffix(self._suffix)
                if not entry.name.endswith(self._suffix) or not is_safe_name(name):
                    continue
                if entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    found.append(File(name, status.st_size, status.st_mtime_ns // 1_000_000))
        found.sort(key=lambda file: (-file.modified_at, file.name))
        return found

    def free_bytes(self) -> int:
        """Return the free bytes on the disk of the folder."""
        disk = os.statvfs(self.root)
        return disk.f_bavail * disk.f_frsize

    def _place(self, name: str) -> Path | None:
        return self.root / (name + self._suffix) if is_safe_name(name) else None

    def _descriptor(self, name: str, flags: int) -> int | None:
        place = self._place(name)
        if place is None:
            return None
        descriptor = os.open(place, flags | _SAFE_FLAGS, 0o600)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        return None


def _fitting(pieces: Sequence[bytes], room: int) -> int:
    for count, piece in enumerate(pieces):
        room -= len(piece)
        if room < 0:
            return count
    return len(pieces)


def _ends_with(descriptor: int, size: int, mark: bytes) -> bool:
    return size >= len(mark) and os.pread(descriptor, len(mark), size - len(mark)) == mark


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
