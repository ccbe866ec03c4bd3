"""Two processes and one data folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from softswitch.errors import UnavailableError
from softswitch.store import DatabaseStore
from softswitch.store.lock import FolderLock

HOLD = """
import sys
from pathlib import Path
from softswitch.store.lock import FolderLock

FolderLock(Path(sys.argv[1])).acquire()
print("locked", flush=True)
sys.stdin.read()
"""


def test_folder_of_another_process_is_refused_until_it_is_killed(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(UnavailableError, match=rf"process {other.pid} uses it.*\[paths\] data"):
            FolderLock(tmp_path).acquire()
        other.send_signal(signal.SIGKILL)
    mine = FolderLock(tmp_path)
    mine.acquire()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    mine.release()
    mine.release()


async def test_second_store_of_a_folder_does_not_start_and_leaves_the_first_alone(tmp_path: Path) -> None:
    first = DatabaseStore(tmp_path, free_bytes=0)
    await first.start()
    with pytest.raises(UnavailableError, match=f"process {os.getpid()} uses it"):
        await DatabaseStore(tmp_path).start()
    assert await first.probe()
    await first.close()
    await first.start()
    await first.close()


def test_lock_is_not_inherited(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.acquire()
    started = "print(flush=True); input()"  # another program by now, so that close-on-exec has been applied
    with subprocess.Popen(
        [sys.executable, "-c", started], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        lock.release()
        again = FolderLock(tmp_path)
        again.acquire()
        again.release()
        child.communicate(b"\n")


def test_link_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        FolderLock(tmp_path).acquire()
