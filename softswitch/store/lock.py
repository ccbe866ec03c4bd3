"""Lock of the data folder, so that two processes never write to the same one."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from softswitch.errors import UnavailableError

NAME = "lock"
"""Name of the file in the data folder; it contains the process id of the owner."""
TURN = "turn"
"""Name of the file by which the workers of one switch open the database one after the other."""
_PID_BYTES = 32


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is in this block for the folder, which is created if necessary.

    Raises:
        OSError: The file of the lock cannot be created.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(folder / TURN, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class FolderLock:
    """Exclusive lock of a folder, held by one process until it releases the lock or ends.

    The kernel releases the lock with the process, also after SIGKILL, so a file that is left over is
    harmless.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Lock the folder; create the folder and the file if necessary.

        Raises:
            UnavailableError: Another process holds the lock; the text names its process id.
            OSError: The file cannot be created.
        """
        if self._descriptor is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._folder / NAME, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, _PID_BYTES).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise UnavailableError(
                f"process {owner} uses it: stop that process, or choose another folder with [paths] data"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            # The lock holds on a full disk, too; only the name of the owner is missing.
            return

    def release(self) -> None:
        """Release the lock; releasing twice is harmless."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
