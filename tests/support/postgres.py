"""A PostgreSQL server of a test's own, on a socket in a folder of its own."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import require_tool
from tests.support.ports import free_port

WAIT_S = "60"


def _program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else require_tool(name)


def _user() -> str | None:
    """Return the user to run it as: PostgreSQL refuses to be root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "daemon"


class PostgresServer:
    """A server with one empty database for each who asks."""

    def __init__(self, folder: Path, user: str | None) -> None:
        self.folder, self._user = folder, user
        self.port = free_port()
        self._databases = 0

    def _run(self, *command: str) -> None:
        subprocess.run(command, user=self._user, check=True, capture_output=True, cwd=self.folder)

    def make(self) -> None:
        """Make the folder of data."""
        self._run(
            _program("initdb"), "-D", f"{self.folder}/data", "-U", "softswitch", "-A", "trust", "-E", "UTF8",
            "--no-sync",
        )  # fmt: skip

    def start(self) -> None:
        """Start, and wait until it serves."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off"
        self._run(
            _program("pg_ctl"), "-D", f"{self.folder}/data", "-w", "-t", WAIT_S, "-l", f"{self.folder}/log",
            "-o", options, "start",
        )  # fmt: skip

    def stop(self) -> None:
        """Stop at once."""
        self._run(_program("pg_ctl"), "-D", f"{self.folder}/data", "-m", "immediate", "stop")

    def database(self) -> str:
        """Make a database and return its URL."""
        self._databases += 1
        name = f"test{self._databases}"
        self._run(_program("createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "softswitch", name)
        return f"postgresql://softswitch@127.0.0.1:{self.port}/{name}"


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server; skips where PostgreSQL is not installed."""
    user = _user()
    _program("initdb")
    folder = Path(tempfile.mkdtemp(prefix="softswitch-postgres-"))
    if user is not None:
        shutil.chown(folder, user)
    server = PostgresServer(folder, user)
    try:
        server.make()
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
