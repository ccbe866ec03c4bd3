"""Measure the CPU that setting up and taking down a SIP call takes, by thread: echo rule and back-to-back.

One generator is caller and callee; calls ring, are answered, last 0.2 s and are ended by the caller. With
`--before` the switch of another work tree runs beside, and batches of calls go to both in turn, so that
neighbouring batches see the same machine. The figures are CPU times of the switch, so that other work on the
machine changes them little.

    python bench/sip_setup.py [--before PATH] [--batches 6] [--calls 100] [--rate 50] [--way echo|b2bua]
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import cast

HERE = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
HOLD_S = 0.2
T1_S = 0.5
"""Time after which a request is sent again (RFC 3261 section 17.1.1.2), seconds; doubled each time."""
PATIENCE_S = 5.0
REST_S = 0.7
"""Pause after a batch: records are written, and the engine goes idle."""
WAYS = ("echo", "b2bua")
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
)
DESCRIBED = "Content-Type: application/sdp"


def fields(text: str) -> dict[str, str]:
    """Return the headers of a message, the topmost of each name."""
    found: dict[str, str] = {}
    for line in text.partition("\r\n\r\n")[0].split("\r\n")[1:]:
        name, _, value = line.partition(":")
        found.setdefault(name, value.strip())
    return found


@dataclass
class Dialog:
    """A call of a caller."""

    call_id: str
    port: int
    """Of the switch."""
    number: str
    answer: str = ""
    """The 200 of its INVITE."""


class Generator(asyncio.DatagramProtocol):
    """Callers and callees of many calls on one socket."""

    def __init__(self, media_port: int) -> None:
        """Describe the media of all calls as of one port."""
        self.sdp = SDP.format(port=media_port)
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._numbers = itertools.count(1)
        self._own = f"{os.getpid()}{time.monotonic_ns() % 1_000_000}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand final responses to the caller; answer requests as a callee."""
        text = data.decode()
        if not text.startswith("SIP/2.0 "):
            self._answer(text, addr)
        elif text[8] != "1":
            found = fields(text)
            future = self._waiting.pop(found["Call-ID"] + found["CSeq"], None)
            if future is not None and not future.done():
                future.set_result(text)

    def _answer(self, text: str, addr: tuple[str, int]) -> None:
        method = text.partition(" ")[0]
        if method == "INVITE":
            self._respond(text, addr, "180 Ringing", "")
            self._respond(text, addr, "200 OK", self._accept(text))
        elif method != "ACK":
            self._respond(text, addr, "200 OK", "")

    def _accept(self, invite: str) -> str:
        """Return the SDP with which the callee of an INVITE answers; in this bench all have the same."""
        return self.sdp

    def _respond(self, text: str, addr: tuple[str, int], status: str, body: str) -> None:
        found = fields(text)
        to = found["To"] if ";tag=" in found["To"] else f"{found['To']};tag=callee"
        vias = [line for line in text.split("\r\n") if line.startswith(("Via:", "Record-Route:"))]
        self._send(
            [f"SIP/2.0 {status}", *vias, f"From: {found['From']}", f"To: {to}",
             f"Call-ID: {found['Call-ID']}", f"CSeq: {found['CSeq']}",
             f"Contact: <sip:callee@{HOST}:{self.port}>"],
            body, addr,
        )  # fmt: skip

    def _send(self, lines: list[str], body: str, addr: tuple[str, int]) -> None:
        head = [*lines, *([DESCRIBED] if body else []), f"Content-Length: {len(body)}"]
        self._transport.sendto(("\r\n".join(head) + "\r\n\r\n" + body).encode(), addr)

    def _request(self, method: str, dialog: Dialog, sequence: int, body: str = "") -> None:
        target = f"sip:{dialog.number}@{HOST}:{dialog.port}"
        to, routes = f"<{target}>", list[str]()
        if dialog.answer:
            # RFC 3261, section 12.1.2: the route set is that of the response, in reverse order.
            found = fields(dialog.answer)
            target, to = found["Contact"].partition("<")[2].partition(">")[0], found["To"]
            head = dialog.answer.partition("\r\n\r\n")[0].split("\r\n")
            routes = [line[len("Record-") :] for line in head if line.startswith("Record-Route:")][::-1]
        self._send(
            [f"{method} {target} SIP/2.0",
             f"Via: SIP/2.0/UDP {HOST}:{self.port};branch=z9hG4bK{dialog.call_id}{method};rport",
             *routes,
             f"From: <sip:bench@{HOST}:{self.port}>;tag=f{dialog.call_id}",
             f"To: {to}",
             f"Call-ID: {dialog.call_id}", f"CSeq: {sequence} {method}",
             f"Contact: <sip:bench@{HOST}:{self.port}>", "Max-Forwards: 70"],
            body, (HOST, dialog.port),
        )  # fmt: skip

    async def _ask(self, method: str, dialog: Dialog, sequence: int, body: str = "") -> str:
        future = asyncio.get_running_loop().create_future()
        self._waiting[f"{dialog.call_id}{sequence} {method}"] = future
        again_s = T1_S
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self._request(method, dialog, sequence, body)
                done, _ = await asyncio.wait({future}, timeout=again_s)
                if done:
                    break
                again_s *= 2
        text: str = future.result()
        if not text.startswith("SIP/2.0 200"):
            raise RuntimeError(f"{method}: {text.splitlines()[0]}")
        return text

    async def begin(self, port: int, number: str, sdp: str) -> Dialog:
        """Call a number by the switch on a port; return the call once it is answered."""
        dialog = Dialog(f"setup-{self._own}-{next(self._numbers)}", port, number)
        dialog.answer = await self._ask("INVITE", dialog, 1, sdp)
        self._request("ACK", dialog, 1)
        return dialog

    async def end(self, dialog: Dialog) -> None:
        """Hang up."""
        await self._ask("BYE", dialog, 2)

    async def call(self, port: int) -> None:
        """Make one call to the switch on a port."""
        dialog = await self.begin(port, "100", self.sdp)
        await asyncio.sleep(HOLD_S)
        await self.end(dialog)


@dataclass
class Switch:
    """A running switch of one tree."""

    pid: int
    sip: int
    http: int

    def spent(self) -> Counter[str]:
        """Return CPU seconds of its main thread, of its media tick, of the other threads, of all."""
        spent: Counter[str] = Counter()
        own = os.getpriority(os.PRIO_PROCESS, 0)
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread that has just ended
                seconds = int((task / "schedstat").read_text().split()[0]) / 1e9
                # The media tick is the only thread that asks for a higher priority.
                is_tick = int((task / "stat").read_text().rsplit(")", 1)[1].split()[16]) != own
                kind = "main" if int(task.name) == self.pid else "tick" if is_tick else "others"
                spent[kind] += seconds
                spent["all"] += seconds
        return spent


def free_port(kind: socket.SocketKind) -> int:
    """Return a port that is free now."""
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def switch(tree: Path, way: str, callee: int, processor: int | None = None, **more: str) -> Iterator[Switch]:
    """Run the switch of a tree.

    Args:
        tree: Work tree.
        way: One of `WAYS`.
        callee: Port of the telephone of way `b2bua`.
        processor: The only one on which it runs; None takes all.
        more: Further settings, as `SOFTSWITCH_<SECTION>_<KEY>` without the prefix.
    """
    with tempfile.TemporaryDirectory() as folder:
        to = "echo" if way == "echo" else "trunk:far"
        trunk = f'[[trunk]]\nname = "far"\nservers = ["{HOST}:{callee}"]\nallow = ["{HOST}/32"]\n'
        route = f'[[route]]\nmatch = ".*"\nto = "{to}"\n'
        config = Path(folder, "softswitch.toml")
        config.write_text(route if way == "echo" else f'{trunk}{route}trunk = "far"\n')
        sip, http = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
        values = {
            "CONFIG": str(config), "HTTP_PORT": str(http), "SIP_PORT": str(sip), "LOG_LEVEL": "warning",
            "PATHS_DATA": str(Path(folder, "data")), "ICE_HOST_ADDRESSES": HOST, **more,
        }  # fmt: skip
        if (tree / "softswitch" / "switch" / "pressure.py").exists():
            # Other work on the machine must not shed calls, and no model is loaded beside them.
            values |= {"LIMITS_OVERLOAD": "false", "SPEECH_PRELOAD": "false"}
        process = subprocess.Popen(
            [sys.executable, "-m", "softswitch"],
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree)} | {f"SOFTSWITCH_{n}": v for n, v in values.items()},
        )
        try:
            if processor is not None:
                os.sched_setaffinity(process.pid, {processor})
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex((HOST, http)) == 0:
                        break
                time.sleep(0.1)
            yield Switch(process.pid, sip, http)
        finally:
            process.terminate()
            process.wait(30)


async def batch(generator: Generator, port: int, calls: int, rate: float) -> int:
    """Make calls at an even rate; return how many went well."""
    loop, running = asyncio.get_running_loop(), []
    begin = loop.time()
    for number in range(calls):
        await asyncio.sleep(max(0.0, begin + number / rate - loop.time()))
        running.append(asyncio.ensure_future(generator.call(port)))
    results = await asyncio.gather(*running, return_exceptions=True)
    await asyncio.sleep(REST_S)
    return sum(result is None for result in results)


async def compare(way: str, given: argparse.Namespace, processor: int) -> None:
    """Print the figures of one way."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media, contextlib.ExitStack() as stack:
        media.bind((HOST, 0))
        _, generator = await loop.create_datagram_endpoint(
            lambda: Generator(media.getsockname()[1]), local_addr=(HOST, 0)
        )
        trees = [*([given.before.resolve()] if given.before else []), HERE]
        switches = [stack.enter_context(switch(tree, way, generator.port, processor)) for tree in trees]
        if given.pids:
            print("pids", *(one.pid for one in switches), flush=True)
        for one in switches:
            await batch(generator, one.sip, 50, given.rate)
        rounds: list[list[Counter[str]]] = []
        bad = [0] * len(switches)
        for _ in range(given.batches):
            row = []
            for index, one in enumerate(switches):
                begin = one.spent()
                bad[index] += given.calls - await batch(generator, one.sip, given.calls, given.rate)
                end = one.spent()
                row.append(Counter({kind: (end[kind] - begin[kind]) * 1000 / given.calls for kind in end}))
            rounds.append(row)
    for kind in ("all", "main", "tick", "others"):
        columns = [median(row[index][kind] for row in rounds) for index in range(len(switches))]
        line = f"{way:6} {kind:7}" + "".join(f" {column:7.2f}" for column in columns) + " ms a call"
        if len(columns) > 1:
            line += f", ratio {median(row[-1][kind] / (row[0][kind] or 1.0) for row in rounds):.2f}"
        print(line)
    print(f"{way:6} failed  {bad} of {given.calls * given.batches} calls", flush=True)


def main() -> None:
    """Measure both ways, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="PATH", help="work tree of another commit")
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--calls", type=int, default=100, help="calls of a batch")
    parser.add_argument("--rate", type=float, default=50.0, help="calls a second")
    parser.add_argument("--way", choices=WAYS, help="only this way")
    parser.add_argument("--pids", action="store_true", help="print process ids, for a profiler")
    given = parser.parse_args()
    processors = os.sched_getaffinity(0)
    if len(processors) > 1:  # the first one is the switch's
        os.sched_setaffinity(0, processors - {min(processors)})
    for way in [given.way] if given.way else WAYS:
        asyncio.run(compare(way, given, min(processors)))


if __name__ == "__main__":
    main()
