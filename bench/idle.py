"""Measure an idle switch: the CPU of its whole process, and its memory, while nobody calls.

python bench/idle.py [seconds]
"""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOAL_PERCENT = 1.0
START_S = 60.0


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spent_s(pid: int) -> float:
    """Return the CPU time of a process with all its threads, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return the memory of a process, megabytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def wait_until_healthy(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait for the switch to answer.

    Raises:
        SystemExit: it ended, or took longer than a minute.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the switch ended with {process.returncode}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the switch did not come up")


def main() -> None:
    """Start a switch, leave it alone, and print what it took."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    port = free_port()
    with tempfile.TemporaryDirectory() as data:
        environment = {
            **os.environ,
            "SOFTSWITCH_HTTP_PORT": str(port),
            "SOFTSWITCH_PATHS_DATA": data,
            "SOFTSWITCH_LOG_LEVEL": "warning",
        }
        process = subprocess.Popen([sys.executable, "-m", "softswitch"], env=environment)
        try:
            wait_until_healthy(port, process)
            time.sleep(3)
            before, began = spent_s(process.pid), time.monotonic()
            time.sleep(seconds)
            percent = 100 * (spent_s(process.pid) - before) / (time.monotonic() - began)
            memory = resident_mb(process.pid)
            print(f"idle: {percent:.2f} % of a core (goal {GOAL_PERCENT:.0f} %), {memory:.0f} MB")
        finally:
            process.terminate()
            process.wait(timeout=30)


if __name__ == "__main__":
    main()
