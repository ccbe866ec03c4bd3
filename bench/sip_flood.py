"""Send 70 000 REGISTERs in 4 s from 254 loopback addresses, and see how long honest phones wait meanwhile.

Two phones register all the time, over and over, as RFC 3261 wants it: copies after 0.5 s, 1 s and so on. One
was registered before the flood, the other one's address has never been heard. With `--tree` the switch of
another tree is measured before this one, in the same run, `--rounds` times.

    python bench/sip_flood.py [--messages 70000] [--seconds 4] [--rounds 1] [--tree PATH]
"""

import argparse
import contextlib
import hashlib
import multiprocessing
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
SOURCES = 254
HOST = "127.0.0.1"
T1_S = 0.5
LONGEST_S = 32.0
PASSWORD = "a password of the benchmark"


def free_port(kind: socket.SocketKind) -> int:
    """Return a port that is free now."""
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def switch(tree: Path) -> Iterator[tuple[int, int, int]]:
    """Run the switch of a tree; yield its process id, SIP port and HTTP port."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "softswitch.toml")
        users = "".join(f'[[user]]\nname = "{n}"\npassword = "{PASSWORD}"\n' for n in ("old", "new"))
        settings.write_text(f'[sip]\nallow = ["192.0.2.0/24"]\n{users}')
        sip, http = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
        values = {
            "CONFIG": str(settings), "HTTP_PORT": str(http), "SIP_PORT": str(sip),
            "LOG_LEVEL": "error", "PATHS_DATA": str(Path(folder, "data")),
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "softswitch"],
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree)} | {f"SOFTSWITCH_{n}": v for n, v in values.items()},
        )
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex((HOST, http)) == 0:
                        break
                time.sleep(0.1)
            yield process.pid, sip, http
        finally:
            process.terminate()
            process.wait(30)


def request(user: str, source: tuple[str, int], port: int, number: int, authorization: str = "") -> bytes:
    """Return a REGISTER."""
    host, own = source
    lines = [
        f"REGISTER sip:{HOST}:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{own};rport;branch=z9hG4bK{user}{number}",
        f"From: <sip:{user}@{HOST}>;tag={number}", f"To: <sip:{user}@{HOST}>",
        f"Call-ID: {user}-{host}", f"CSeq: {number} REGISTER", f"Contact: <sip:{user}@{host}:{own}>",
        "Max-Forwards: 70", "Expires: 300", *([authorization] if authorization else []), "Content-Length: 0",
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


def authorization(user: str, port: int, challenge: str) -> str:
    """Return the Authorization for a challenge (RFC 2617, qop=auth)."""
    given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    uri = f"sip:{HOST}:{port}"

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    secret = md5(f"{user}:{given['realm']}:{PASSWORD}")
    response = md5(f"{secret}:{given['nonce']}:00000001:c:auth:{md5(f'REGISTER:{uri}')}")
    return (
        f'Authorization: Digest username="{user}", realm="{given["realm"]}", nonce="{given["nonce"]}", '
        f'uri="{uri}", response="{response}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"'
    )


class Phone:
    """A phone that registers again and again."""

    def __init__(self, user: str, host: str, port: int) -> None:
        """Bind to an address of loopback."""
        self.user, self.port = user, port
        self.waits: list[float] = []
        """Seconds from the first REGISTER to the 200, its challenge included."""
        self.copies = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._number = 0

    def register(self) -> None:
        """Register once, and note how long it took."""
        begin = time.monotonic()
        answer = self._ask()
        if answer.startswith("SIP/2.0 401"):
            challenge = next(line for line in answer.split("\r\n") if line.startswith("WWW-Authenticate"))
            answer = self._ask(authorization(self.user, self.port, challenge))
        if answer.startswith("SIP/2.0 200"):
            self.waits.append(time.monotonic() - begin)
        else:
            self.waits.append(float("inf"))

    def run(self, until: float) -> None:
        """Register every 50 ms until a monotonic time."""
        while time.monotonic() < until:
            self.register()
            time.sleep(0.05)

    def _ask(self, proof: str = "") -> str:
        self._number += 1
        data = request(self.user, self._socket.getsockname(), self.port, self._number, proof)
        pause, waited = T1_S, 0.0
        while waited < LONGEST_S:
            self._socket.sendto(data, (HOST, self.port))
            end = time.monotonic() + pause
            while (left := end - time.monotonic()) > 0:
                self._socket.settimeout(left)
                with contextlib.suppress(TimeoutError):
                    answer = self._socket.recv(65536).decode()
                    if f"CSeq: {self._number} " in answer:
                        return answer
            self.copies += 1
            waited += pause
            pause = min(2 * pause, 4.0)
        return ""


def flood(port: int, messages: int, seconds: float) -> None:
    """Send REGISTERs from all addresses in turn, evenly over the time."""
    sockets = []
    for number in range(SOURCES):
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        far.bind((f"127.0.77.{number + 1}", 0))
        sockets.append(far)
    texts = [request("x", far.getsockname(), port, 1) for far in sockets]
    begin = time.monotonic()
    for number in range(messages):
        text = texts[number % SOURCES].replace(b"z9hG4bKx1", b"z9hG4bKx%d" % number)
        with contextlib.suppress(OSError):
            sockets[number % SOURCES].sendto(text, (HOST, port))
        if not number % 100:
            time.sleep(max(begin + seconds * number / messages - time.monotonic(), 0.0))


def figures(http: int) -> str:
    """Return what the switch counted."""
    with urllib.request.urlopen(f"http://{HOST}:{http}/metrics") as answer:
        text = answer.read().decode()
    names = ("challenges", "strangers_dropped", "guard_limited", "messages_received")
    found = {name: re.search(rf"^softswitch_sip_{name}_total (\S+)$", text, re.MULTILINE) for name in names}
    return ", ".join(f"{name} {float(one[1]):.0f}" for name, one in found.items() if one)


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(tree: Path, messages: int, seconds: float) -> None:
    """Print what one switch does."""
    with switch(tree) as (pid, sip, http):
        old, new = Phone("old", "127.0.0.5", sip), Phone("new", "127.0.0.6", sip)
        old.register()
        quiet = old.waits.pop()
        flooding = multiprocessing.get_context("spawn").Process(target=flood, args=(sip, messages, seconds))
        flooding.start()
        time.sleep(0.7)  # its sockets are open
        before, until = cpu_seconds(pid), time.monotonic() + seconds - 0.5
        threads = [threading.Thread(target=one.run, args=(until,)) for one in (old, new)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        flooding.join()
        print(f"{tree.name}: {1000 * quiet:.1f} ms without a flood; CPU {cpu_seconds(pid) - before:.2f} s")
        for one, name in ((old, "registered before"), (new, "never heard before")):
            waits = sorted(one.waits)
            print(
                f"  {name}: {len(waits)} times, median {1000 * statistics.median(waits):.0f} ms, "
                f"longest {1000 * waits[-1]:.0f} ms, {one.copies} copies"
            )
        print(f"  {figures(http)}")


def main() -> None:
    """Measure one tree, or two by turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--messages", type=int, default=70_000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tree", type=Path)
    given = parser.parse_args()
    for _ in range(given.rounds):
        for tree in (*([given.tree] if given.tree else []), HERE):
            measure(tree.resolve(), given.messages, given.seconds)


if __name__ == "__main__":
    main()
