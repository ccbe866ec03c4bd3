"""Offer twice the calls that one core carries, and see what is served, how soon, and what follows.

The switch is bound to one core, SIPp (caller and callee) to another. First the capacity
is found: so many calls at once that the core is busy, each hung up as soon as it is answered. Then so many
times as much is offered, whether it is served or not. Then one single call is made, and the capacity is
found again, since a shared machine changes its speed within seconds: the mean of both counts. At last calls
that stand are ended by the switch at once, counting the BYEs that reach the callee. With `--tree` the switch
of another tree is measured before this one, in the same run.

    python bench/overload.py [--seconds 12] [--times 2] [--stand 300] [--rounds 1] [--tree PATH ...]
"""

import argparse
import contextlib
import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIPP, TASKSET = shutil.which("sipp") or "", shutil.which("taskset") or ""
CALLEE = "127.0.0.1"
"""Calls from it are calls of the trunk."""

CALLER = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="caller">
<send retrans="500" start_rtd="1"><![CDATA[
INVITE sip:callee@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:caller@[local_ip]:[local_port]>;tag=[pid]SIPpTag00[call_number]
To: <sip:callee@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:caller@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
]]></send>
<recv response="100" optional="true"></recv>
<recv response="180" optional="true"></recv>
<recv response="183" optional="true"></recv>
<recv response="503" optional="true" next="1"></recv>
<recv response="200" rtd="1" rrs="true"></recv>
<send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:caller@[local_ip]:[local_port]>;tag=[pid]SIPpTag00[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<pause/>
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:caller@[local_ip]:[local_port]>;tag=[pid]SIPpTag00[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200" next="2"></recv>
<label id="1"/>
<send><![CDATA[
ACK sip:callee@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch-9];rport
From: <sip:caller@[local_ip]:[local_port]>;tag=[pid]SIPpTag00[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<label id="2"/>
<ResponseTimeRepartition value="10, 50, 100, 200, 500, 1000, 2000, 5000"/>
</scenario>
"""


@dataclass
class Outcome:
    """What became of the calls of one run."""

    good: int
    refused: int
    failed: int
    seconds: float
    invites: int
    """Sent, copies included."""
    within: dict[str, int]
    """Answered calls by the time that took, in ms."""

    @property
    def rate(self) -> float:
        """Return answered calls a second."""
        return self.good / self.seconds


def free_port() -> int:
    """Return a UDP port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def callee(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the telephone that answers everything."""
    command = [
        "sipp",
        "-sn",
        "uas",
        "-i",
        "127.0.0.1",
        "-p",
        str(port),
        "-nostdin",
        "-trace_counts",
        "-fd",
        "1",
    ]
    with subprocess.Popen(
        [*command, "-rtp_echo", "-mp", str(free_port())],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            time.sleep(0.5)
            yield process
        finally:
            process.terminate()


def call(
    folder: Path, to: int, *, rate: float, calls: int, at_once: int, hold_ms: int, timeout_s: int
) -> Outcome:
    """Make calls."""
    scenario = folder / "caller.xml"
    scenario.write_text(CALLER)
    for old in folder.glob("caller_*.csv"):
        old.unlink()
    began = time.monotonic()
    subprocess.run(
        [
            SIPP, "-sf", str(scenario), f"127.0.0.1:{to}", "-i", "127.0.0.1", "-p", str(free_port()),
            "-r", str(round(rate * 10)), "-rp", "10000", "-m", str(calls), "-l", str(at_once),
            "-d", str(hold_ms), "-nostdin",
            "-mp", str(free_port()), "-trace_stat", "-trace_counts", "-fd", "1", "-timeout", f"{timeout_s}s",
            "-recv_timeout", "20000", "-default_behaviors", "all,-bye",
        ],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=timeout_s + 30,
    )  # fmt: skip
    seconds = time.monotonic() - began
    stats, counts = last_row(folder, "caller_[0-9]*_.csv"), last_row(folder, "caller_*_counts.csv")
    refused = next(int(value) for name, value in counts.items() if "_503_Recv" in name)
    good = int(stats["SuccessfulCall(C)"]) - refused
    invites = sum(int(v) for n, v in counts.items() if "INVITE_Sent" in n or "INVITE_Retrans" in n)
    within = {
        name.partition("_")[2]: int(value)
        for name, value in stats.items()
        if name.startswith("ResponseTimeRepartition1_") and value.isdigit()
    }
    return Outcome(good, refused, int(stats["FailedCall(C)"]), seconds, invites, within)


def last_row(folder: Path, pattern: str) -> dict[str, str]:
    """Return the last line of a table of SIPp's, by column."""
    paths = [path for path in folder.glob(pattern) if "counts" in pattern or "counts" not in path.name]
    with paths[0].open() as file:
        rows = list(csv.reader(file, delimiter=";"))
    return dict(zip(rows[0], rows[-1], strict=False))


@contextlib.contextmanager
def switch(tree: Path, folder: Path, callee_port: int) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """Run the switch of a tree on one core."""
    sip_port = free_port()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        http_port = free.getsockname()[1]
    settings = folder / "softswitch.toml"
    settings.write_text(
        f'[[trunk]]\nname = "callee"\nservers = ["{CALLEE}:{callee_port}"]\n'
        '[[route]]\nmatch = ".*"\nto = "trunk:callee"\ntrunk = "callee"\n'
        '[sip]\nallow = ["127.0.0.0/8"]\n[rtp]\nport_min = 20000\nport_max = 60000\n'
    )
    values = {
        "CONFIG": str(settings), "HTTP_PORT": str(http_port), "SIP_PORT": str(sip_port),
        "LOG_LEVEL": "error", "PATHS_DATA": str(folder / "data"), "LIMITS_DRAIN_S": "0.1",
        "LIMITS_MEDIA_TIMEOUT_START_S": "300", "LIMITS_MEDIA_TIMEOUT_S": "300",
    }  # fmt: skip
    core = max(os.sched_getaffinity(0))
    process = subprocess.Popen(
        [TASKSET, "-c", str(core), sys.executable, "-m", "softswitch"],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)} | {f"SOFTSWITCH_{n}": v for n, v in values.items()},
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", http_port)) == 0:
                    break
            time.sleep(0.1)
        yield process, sip_port, http_port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def measure(tree: Path, times: float, seconds: float, stand: int) -> None:
    """Print what one switch does."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        callee_port = free_port()
        with callee(folder, callee_port) as answering, switch(tree, folder, callee_port) as (process, sip, _):
            call(folder, sip, rate=10, calls=30, at_once=20, hold_ms=0, timeout_s=20)
            full = capacity(process, folder, sip, seconds)
            if not full.good:
                raise SystemExit("no call was answered")
            offered = times * full.rate
            began = cpu_seconds(process.pid)
            flood = call(
                folder, sip, rate=offered, calls=round(offered * seconds), at_once=100_000, hold_ms=0,
                timeout_s=round(3 * seconds + 30),
            )  # fmt: skip
            print(
                f"{times:g} times as much, {offered:.0f}/s for {seconds:.0f} s: {flood.good} good,"
                f" {flood.refused} refused, {flood.failed} failed;"
                f" all done after {flood.seconds:.1f} s, {flood.invites} INVITEs sent"
            )
            spent = cpu_seconds(process.pid) - began
            print(
                f"  CPU {100 * spent / flood.seconds:.0f} %,"
                f" {1000 * spent / max(flood.good, 1):.1f} ms a call"
            )
            print(f"  answered within ms: {flood.within}")
            time.sleep(1.0)
            one = call(folder, sip, rate=1, calls=1, at_once=1, hold_ms=0, timeout_s=10)
            print(
                f"one call a second later: {'answered' if one.good else 'not answered'}, within {one.within}"
            )
            time.sleep(3.0)  # until no call is refused any more
            again = capacity(process, folder, sip, seconds)
            served = flood.good / max(seconds, flood.seconds)
            print(f"served: {200 * served / (full.rate + again.rate):.0f} % of the capacity")
            if stand:
                hang_up(folder, process, sip, answering, stand)


def capacity(process: subprocess.Popen[bytes], folder: Path, sip: int, seconds: float) -> Outcome:
    """Make 30 calls at once, for as long as the flood lasts at most; print how many there are a second."""
    began = cpu_seconds(process.pid)
    full = call(
        folder, sip, rate=400, calls=round(seconds * 60), at_once=30, hold_ms=0, timeout_s=round(seconds),
    )  # fmt: skip
    spent = cpu_seconds(process.pid) - began
    print(
        f"capacity, 30 at once: {full.rate:.0f} calls/s, {full.invites - full.good} INVITEs again;"
        f" CPU {100 * spent / full.seconds:.0f} %, {1000 * spent / max(full.good, 1):.1f} ms a call"
    )
    return full


def hang_up(
    folder: Path, process: subprocess.Popen[bytes], sip: int, answering: subprocess.Popen[bytes], stand: int
) -> None:
    """Let the switch end all calls at once; print how many BYEs reach the callee."""
    scenario = folder / "caller.xml"
    port = str(free_port())
    with subprocess.Popen(
        [
            SIPP, "-sf", str(scenario), f"127.0.0.1:{sip}", "-i", "127.0.0.1", "-p", port, "-r", "25",
            "-m", str(stand), "-l", str(stand), "-d", "120000", "-nostdin", "-timeout", "90s",
        ],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as calling:  # fmt: skip
        time.sleep(stand / 25 + 3)
        before = last_row(folder, "uas_*_counts.csv")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        took = time.monotonic() - began
        time.sleep(1.5)
        after = last_row(folder, "uas_*_counts.csv")
        calling.kill()

    def grown(word: str) -> int:
        return sum(int(after[n]) - int(before[n]) for n in after if word in n and after[n].isdigit())

    print(
        f"{stand} calls ended at once by SIGTERM: in {took:.1f} s;"
        f" the callee got {grown('BYE_Recv')} BYEs, {grown('BYE_Retrans')} of them again"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--times", type=float, default=2.0)
    parser.add_argument("--stand", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tree", type=Path, action="append", default=[])
    arguments = parser.parse_args()
    if not (SIPP and TASKSET):
        print("SIPp (package sip-tester) or taskset is not installed: nothing measured")
        return
    for _ in range(arguments.rounds):
        for tree in (*arguments.tree, HERE.parent):
            if arguments.tree:
                print(f"{tree.resolve().name}:")
            measure(tree.resolve(), arguments.times, arguments.seconds, arguments.stand)


if __name__ == "__main__":
    main()
