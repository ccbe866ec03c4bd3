"""Measure an idle switch: its CPU, and the memory of all its processes, without speech and with.

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
GOALS_MB = {"false": 90, "true": 800}
"""Most memory of all processes, by `[speech] preload`."""
LOADED_S = 180.0
"""Longest wait for the models of speech."""
START_S = 180.0


def free_port() -> int:
    """Return a TCP port that no program listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spent_s(pid: int) -> float:
    """Return the CPU time of a process with all its threads, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in tree(int(child)))]


def memory_mb(pid: int, kind: str = "Pss") -> float:
    """Return the memory of a process, megabytes; of `Pss`, pages that processes share are shared out."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit(f"/proc/{pid}/smaps_rollup has no {kind}")


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


def measure(seconds: float, preload: str) -> None:
    """Start a switch, leave it alone, and print what it took."""
    port = free_port()
    with tempfile.TemporaryDirectory() as data:
        environment = {
            **os.environ,
            "SOFTSWITCH_HTTP_PORT": str(port),
            "SOFTSWITCH_PATHS_DATA": data,
            "SOFTSWITCH_LOG_LEVEL": "warning",
            "SOFTSWITCH_SPEECH_PRELOAD": preload,
        }
        process = subprocess.Popen([sys.executable, "-m", "softswitch"], env=environment)
        try:
            wait_until_healthy(port, process)
            if preload == "true":
                wait_until_loaded(process.pid)
            time.sleep(3)
            before, began = spent_s(process.pid), time.monotonic()
            time.sleep(seconds)
            percent = 100 * (spent_s(process.pid) - before) / (time.monotonic() - began)
            pids = tree(process.pid)
            memory, own = sum(map(memory_mb, pids)), memory_mb(process.pid, "Rss")
            print(
                f"speech preload = {preload}: {percent:.2f} % of a core (goal {GOAL_PERCENT:.0f} %);"
                f" {len(pids)} processes, {memory:.0f} MB (Pss; the switch's own Rss {own:.0f} MB;"
                f" goal {GOALS_MB[preload]} MB)"
            )
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_until_loaded(pid: int) -> None:
    """Wait until the processes of speech are there and have stopped growing, three minutes at most."""
    deadline, last = time.monotonic() + LOADED_S, 0.0
    while time.monotonic() < deadline:
        time.sleep(3)
        memory = sum(map(memory_mb, tree(pid)))
        if len(tree(pid)) > 1 and abs(memory - last) < 1.0:
            return
        last = memory


def main() -> None:
    """Measure it without speech, and with."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    for preload in GOALS_MB:
        measure(seconds, preload)


if __name__ == "__main__":
    main()
