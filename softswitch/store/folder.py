"""A folder of files whose names come from strangers.

A name is one component that fits the rule of call ids, so it cannot lead out of the folder; and nothing is
opened through a symbolic link, so a file inside cannot either.
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
"""NONBLOCK keeps a FIFO that somebody put there from holding us up."""

_NOT_THERE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO})
"""No file; a symbolic link; a socket."""


def is_safe_name(name: str) -> bool:
    """Tell whether a text is an id, and so may be part of a file's name (wire-call section 1)."""
    return _NAME.fullmatch(name) is not None


class File(NamedTuple):
    """One file of a folder."""

    name: str
    size: int
    """Bytes."""
    modified_at: int
    """Epoch milliseconds."""


class Folder:
    """Be one folder. All methods touch the disk: call them off the loop."""

    def __init__(self, root: Path, suffix: str = "") -> None:
        """Take the folder `root`; every name given later has `suffix` added to make the file's name."""
        self.root = root
        self._suffix = suffix

    def make(self) -> None:
        """Make the folder, for nobody but us, unless it is there."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, name: str) -> Path | None:
        """Return the path of a file that is there, is a plain file and has a safe name; else None."""
        place = self._place(name)
        try:
            if place is None or not stat.S_ISREG(place.lstat().st_mode):
                return None
        except OSError:
            return None
        return place

    def create(self, name: str) -> Path:
        """Make a new empty file.

        Raises:
            ValueError: if the name is not safe.
            FileExistsError: if there is one already, a link included.
        """
        place = self._place(name)
        if place is None:
            raise ValueError("not a name for a file")
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _SAFE_FLAGS, 0o600))
        return place

    def open(self, name: str) -> BinaryIO | None:
        """Open a plain file for reading, or return None where there is none.

        Raises:
            OSError: if the disk fails.
        """
        try:
            descriptor = self._descriptor(name, os.O_RDONLY)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise
        return None if descriptor is None else os.fdopen(descriptor, "rb")

    def append(self, name: str, pieces: Sequence[bytes], bound: int, mark: bytes) -> int:
        """Append to a file that must not grow beyond `bound` bytes, making it if need be.

        The first piece that does not fit is replaced by `mark`, and nothing follows a mark: so a file either
        has everything or says that it has not.

        Returns:
            How many pieces were written.

        Raises:
            OSError: if the disk fails; also where the name is not safe, or a link or a device is in the way.
        """
        descriptor = self._descriptor(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        if descriptor is None:
            raise FileNotFoundError(errno.ENOENT, "not a plain file with a safe name")
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
        """Delete a plain file; False where there is none."""
        place = self.path(name)
        if place is None:
            return False
        place.unlink(missing_ok=True)
        return True

    def files(self) -> list[File]:
        """List the plain files with safe names and our suffix, the newest first."""
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
        """Return the room on the folder's disk."""
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
