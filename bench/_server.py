"""A switch in a process of its own, for the benchmarks that measure it from outside."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLOCK_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A running switch."""

    port: int
    pid: int
    data: Path

    def cpu_seconds(self) -> float:
        """Return user and system time of its process, all threads together."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICK


@contextlib.contextmanager
def server(**environment: str) -> Iterator[Server]:
    """Run `python -m softswitch` on a free loopback port with an empty data folder.

    Args:
        environment: settings, as `SOFTSWITCH_<SECTION>_<KEY>` without the prefix.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        settings = {
            "HTTP_PORT": str(port),
            "SIP_PORT": "0",
            "PATHS_DATA": folder,
            "LOG_LEVEL": "warning",
            "ICE_HOST_ADDRESSES": "127.0.0.1",
            **environment,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "softswitch"],
            env=os.environ | {f"SOFTSWITCH_{name}": value for name, value in settings.items()},
        )
        try:
            wait_for(port)
            yield Server(port, process.pid, Path(folder))
        finally:
            process.terminate()
            process.wait(15)


def wait_for(port: int) -> None:
    """Wait until something listens on a port of the loopback.

    Raises:
        TimeoutError: nothing does.
    """
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the switch did not start")
