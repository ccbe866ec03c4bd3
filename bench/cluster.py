"""What several workers and several machines must hold under load: one sub-command for each figure.

Every sub-command starts the real processes on loopback, prints its figures, and beside them the processor
time of the generator and the delays of a control process that only wakes up every 10 ms: what it says is the
other work on the machine. Exit code 1: a call was hurt.

    python bench/cluster.py command | bridge | datagram | kill | restart | nodes [--redis-away S]
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

from bench import any_node
from bench.sip_setup import HOST, Generator, fields
from bench.workers import processes, used
from tests.certificates import make_certificate
from tests.support import sound
from tests.support.client import Client
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.redis import RedisServer, redis_server
from tests.support.switch import SwitchProcess

HERE = Path(__file__).resolve().parent.parent
WAKE_S = 0.01
"""Period of the control process."""
START_S = 120.0
T1_S = 0.5
LAST_WAIT_S = 8.0
"""Longest wait for an answer before a request counts as lost, in seconds."""
BURST = 5
"""RTP packets that are sent to a call to see that it still echoes."""
SETTINGS = """
[server]
workers = {workers}
[sip]
port = {sip}
[speech]
preload = false
[limits]
overload = false
media_timeout_start_s = 900.0
media_timeout_s = 900.0
[log]
level = "warning"
[[route]]
match = ".*"
to = "echo"
"""
CLUSTER = """
[http]
trusted_proxies = ["127.0.0.1"]
[cluster]
bus = "{redis}"
node = "{name}"
address = "127.0.0.1:{address}"
secret = "a secret of the machines of one switch"
ttl_s = 1.5
[store]
postgres = "{postgres}"
"""
CALLER = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="caller of a cluster">
<send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]T[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=user1 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="183" optional="true"/>
<recv response="200" rtd="true" rrs="true"/>
<send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[routes]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]T[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<pause/>
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[routes]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]T[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200"/>
</scenario>
"""
STANDING = 30
"""WebSocket calls that stand beside those of SIPp."""
PER_CALL = 6
"""Datagrams of a call: INVITE, 180 or 100, 200, ACK, BYE, 200."""
ROUND_FRAMES = 250
"""Frames of 20 ms in a round of a bridge."""
DEPLOY = HERE / "deploy" / "cluster"


# --- what else the machine does -----------------------------------------------------------------


WAKE_UP = """
import json, os, time
late = []
os.set_blocking(0, False)
print(flush=True)
while True:
    due = time.monotonic() + PERIOD
    time.sleep(PERIOD)
    late.append((time.monotonic() - due) * 1000)
    try:
        if os.read(0, 1) == b"":
            break
    except BlockingIOError:
        pass
print(json.dumps(late))
""".replace("PERIOD", str(WAKE_S))
"""Program of the control process: it prints how late each wake-up was, milliseconds, once its input ends."""


class Beside:
    """The control process, and the processor time of generator and switch over the same time."""

    def __init__(self, pids: Sequence[int] = ()) -> None:
        """Measure the processes given, and those below them."""
        self._pids = pids

    def __enter__(self) -> Self:
        """Begin."""
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", WAKE_UP], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self._began = time.monotonic()
        self._own = _own_seconds()
        self._used = self._spent()
        return self

    def __exit__(self, *_: object) -> None:
        """Print."""
        elapsed = time.monotonic() - self._began
        own = _own_seconds() - self._own
        spent = sum(max(0.0, value - self._used.get(pid, 0.0)) for pid, value in self._spent().items())
        told, _ = self._process.communicate()
        late = json.loads(told)
        print(
            f"  beside: control process {quantiles(late)} late; generator {own / elapsed * 100:.0f} % of a "
            f"core, switch {spent / elapsed * 100:.0f} %; load average {os.getloadavg()[0]:.1f}",
            flush=True,
        )

    def _spent(self) -> dict[int, float]:
        found = {}
        for pid in {one for top in self._pids for one in processes(top)}:
            with contextlib.suppress(OSError):
                found[pid] = used(pid)
        return found


def prefer(pids: Sequence[int]) -> None:
    """Have processes, those below them and this one run before all others of the machine (SCHED_RR).

    For delays of things that take little processor time: what else the machine does is then left out.
    """
    for pid in {*(one for top in pids for one in processes(top)), os.getpid()}:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(1))


def _own_seconds() -> float:
    """Return the processor time of this process and of the children that have ended."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return mine.ru_utime + mine.ru_stime


def quantiles(values: Sequence[float]) -> str:
    """Return median, 99th percentile and maximum of milliseconds."""
    ordered = sorted(values)
    if not ordered:
        return "nothing"
    last = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"p50 {statistics.median(ordered):.2f}, p99 {last:.2f}, most {ordered[-1]:.2f} ms"


# --- telephones ---------------------------------------------------------------------------------


@dataclass
class Standing:
    """A call that the generator holds."""

    call: str
    tag: str
    media: int
    """RTP port of the switch."""

    @property
    def worker(self) -> int:
        """Number of the worker that made the tag."""
        return int(self.tag[1:5], 16)


class Callers(Generator):
    """Callers that hold calls, and note which of them the switch ends, and when."""

    def __init__(self, media_port: int) -> None:
        """Start without calls."""
        super().__init__(media_port)
        self.ended: dict[str, float] = {}
        self.again = 0
        """Requests sent again because no answer came."""

    async def _ask(self, method: str, call: str, sequence: int, tag: str, body: str, port: int) -> str:
        """Send a request as a telephone does: again after 0.5 s, 1 s and so on (RFC 3261 section 17.1)."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[f"{call}{sequence} {method}"] = future
        wait = T1_S
        while not future.done():
            if wait > T1_S:
                self.again += 1
            if wait > LAST_WAIT_S:
                raise TimeoutError(f"{method}: no answer")
            self._request(method, call, sequence, tag, body, port)
            await asyncio.wait({future}, timeout=wait)
            wait *= 2
        text = str(future.result())
        if not text.startswith("SIP/2.0 200"):
            raise RuntimeError(f"{method}: {text.splitlines()[0]}")
        return text

    def _answer(self, text: str, addr: tuple[str, int]) -> None:
        if text.startswith("BYE "):
            self.ended.setdefault(fields(text)["Call-ID"], time.monotonic())
        super()._answer(text, addr)

    def stray(self, port: int, number: int) -> None:
        """Send an ACK of a dialog that does not exist."""
        self._request("ACK", f"stray-{self._own}-{number}", 1, f"none{number}", self.sdp, port)

    async def begin(self, port: int) -> Standing:
        """Make a call; it stands until `end`."""
        call = f"stand-{self._own}-{next(self._numbers)}"
        answer = await self._ask("INVITE", call, 1, "", self.sdp, port)
        tag = fields(answer)["To"].rpartition("tag=")[2]
        self._request("ACK", call, 1, tag, "", port)
        found = re.search(r"\nm=audio (\d+)", answer)
        assert found is not None
        return Standing(call, tag, int(found[1]))

    async def end(self, port: int, standing: Standing) -> None:
        """End a call; raises RuntimeError where the switch does not know it."""
        await self._ask("BYE", standing.call, 2, standing.tag, "", port)


class Echoes(asyncio.DatagramProtocol):
    """The RTP socket of all callers: it counts from which ports of the switch packets come back."""

    def __init__(self) -> None:
        """Start with nothing heard."""
        self.heard: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self.transport: Any = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Note the sender of an RTP packet with audio."""
        if len(data) > 12 and data[1] & 0x7F == 0:
            self.heard.add(addr[1])

    async def silent(self, calls: Sequence[Standing]) -> set[str]:
        """Send packets to calls; return those that echo nothing."""
        self.heard.clear()
        for number in range(3 * BURST):
            for one in calls:
                head = struct.pack(">BBHII", 0x80, 0, number, number * 160, one.media)
                self.transport.sendto(head + b"\x2a" * 160, (HOST, one.media))
            await asyncio.sleep(0.02)
        end = time.monotonic() + 5
        while (left := {one.call for one in calls if one.media not in self.heard}) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        return left


@contextlib.asynccontextmanager
async def telephones() -> AsyncIterator[tuple[Callers, Echoes]]:
    """Open the sockets of the callers."""
    loop = asyncio.get_running_loop()
    media, echoes = await loop.create_datagram_endpoint(Echoes, local_addr=(HOST, 0))
    signalling, callers = await loop.create_datagram_endpoint(
        lambda: Callers(echoes.port), local_addr=(HOST, 0)
    )
    for transport in (media, signalling):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    yield callers, echoes
    media.close()
    signalling.close()


async def stand(callers: Callers, port: int, calls: int, rate: float) -> list[Standing]:
    """Make calls at an even rate and keep them."""
    loop, running = asyncio.get_running_loop(), []
    begin = loop.time()
    for number in range(calls):
        await asyncio.sleep(max(0.0, begin + number / rate - loop.time()))
        running.append(asyncio.ensure_future(callers.begin(port)))
    return list(await asyncio.gather(*running))


@contextlib.contextmanager
def workers_switch(workers: int) -> Iterator[tuple[SwitchProcess, int]]:
    """Run a switch with workers; yield it and its SIP port."""
    sip = free_port()
    with tempfile.TemporaryDirectory() as folder:
        text = SETTINGS.format(workers=workers, sip=sip)
        with SwitchProcess(Path(folder) / "data", settings_text=text) as running:
            try:
                yield running, sip
                report_log(running)
            finally:
                # Without their supervisor workers would end with their last call.
                left = worker_pids(running).values()
                running.process.kill()
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


def report_log(running: SwitchProcess) -> None:
    """Print what the switch logged as warnings and errors, each message once with its count."""
    found: Counter[str] = Counter()
    for line in running.output().splitlines():
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            found[f"{told.get('level')}: {told.get('message')}"] += 1
    for what, count in found.items():
        print(f"  log: {count} x {what}")


def worker_pids(running: SwitchProcess) -> dict[int, int]:
    """Return the process of each worker, by its number."""
    found = {}
    for pid in processes(running.process.pid):
        with contextlib.suppress(OSError, StopIteration):
            words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            place = next(word for word in words if word.startswith(b"SOFTSWITCH_WORKER="))
            # Its own children, such as processes of speech, have no such variable.
            found[json.loads(place.partition(b"=")[2])["number"]] = pid
    return found


async def text_of(url: str) -> str:
    """Return the body of a page, on a connection of its own."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.text()


async def supervisor_figures(running: SwitchProcess) -> str:
    """Return what the supervisor counts of SIP."""
    rows = (await text_of(running.url("/metrics"))).splitlines()
    found = [
        row.removeprefix("softswitch_supervisor_")
        for row in rows
        if row.startswith(("softswitch_supervisor_sip", "softswitch_supervisor_bus"))
    ]
    return ", ".join(found)


# --- a command on a call of another worker, of another machine ----------------------------------


def command(count: int, *, preferred: bool) -> bool:
    """Send commands for a call to its own process and to another one, of one machine and of two."""

    def prepare(*switches: SwitchProcess) -> Beside:
        pids = [each.process.pid for each in switches]
        if preferred:
            prefer(pids)
        return Beside(pids)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = any_node.BASE | {"SOFTSWITCH_SERVER_WORKERS": "2"}
        with SwitchProcess(folder / "workers", environment) as one, prepare(one):
            asyncio.run(any_node.workers(one, count))
        with any_node.two_machines(folder) as machines, prepare(*machines):
            asyncio.run(any_node.machines(*machines, count))
    return True


# --- what the supervisor takes for a datagram ----------------------------------------------------


def seconds_of(pid: int) -> float:
    """Return the processor time of all threads of one process, in seconds (to a microsecond or so)."""
    found = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += int((thread / "schedstat").read_text().split()[0])
    return found / 1e9


async def datagram(count: int, rate: float, *, preferred: bool) -> bool:
    """Have the supervisor hand on datagrams of one direction, and those of whole calls."""
    with workers_switch(2) as (running, sip):
        supervisor = running.process.pid
        if preferred:
            prefer([supervisor])
        async with telephones() as (callers, _):
            await stand(callers, sip, 4, 10.0)
            await asyncio.sleep(2)
            began, before = time.monotonic(), seconds_of(supervisor)
            await asyncio.sleep(5)
            idle = (seconds_of(supervisor) - before) / (time.monotonic() - began)
            print(f"idle: {idle * 1000:.2f} ms of processor a second")
            with Beside([supervisor]):
                for pace, burst in ((rate, 1), (rate, 20)):
                    began, before = time.monotonic(), seconds_of(supervisor)
                    await strays(callers, sip, count, pace, burst)
                    spent = seconds_of(supervisor) - before - idle * (time.monotonic() - began)
                    each = spent / count * 1e6
                    print(f"one way, {pace:g} a second, {burst} at once: {each:.1f} us a datagram")
                calls = max(50, count // 20)
                outcomes, over = Outcomes(), asyncio.Event()
                began, before = time.monotonic(), seconds_of(supervisor)
                making = asyncio.ensure_future(repeat(40.0, over, outcomes, lambda: callers.call(sip)))
                await asyncio.sleep(calls / 40.0)
                over.set()
                await making
                spent = seconds_of(supervisor) - before - idle * (time.monotonic() - began)
                each = spent / outcomes.good * 1e6
                print(
                    f"calls: {outcomes.good} good, bad {dict(outcomes.bad)}; {each:.0f} us a call, ", end=""
                )
                print(f"{each / PER_CALL:.1f} us for each of {PER_CALL} datagrams")
            print("supervisor:", await supervisor_figures(running))
    return not outcomes.bad


async def strays(callers: Callers, sip: int, count: int, rate: float, burst: int) -> None:
    """Send ACKs of dialogs that no worker has: they are handed on, and not answered."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number in range(0, count, burst):
        await asyncio.sleep(max(0.0, begin + number / rate - loop.time()))
        for one in range(burst):
            callers.stray(sip, number + one)
    await asyncio.sleep(0.5)


# --- a bridge of two calls on two workers --------------------------------------------------------


async def bridge(rounds: int, *, preferred: bool) -> bool:
    """Measure the delay of bursts across a bridge on one worker, and across one on two workers, in turn."""
    with workers_switch(2) as (running, _), contextlib.ExitStack() as stack:
        if preferred:
            prefer([running.process.pid])
        async with contextlib.AsyncExitStack() as clients:
            opened: dict[str, list[Client]] = {}
            for _ in range(12):
                before = await websocket_calls(running)
                client = await clients.enter_async_context(running.client(dump="false"))
                await client.invite(vad=False)
                await asyncio.sleep(0.5)
                after = await websocket_calls(running)
                worker = next(name for name in after if after[name] > before.get(name, 0))
                opened.setdefault(worker, []).append(client)
                if len(opened) == 2 and max(map(len, opened.values())) >= 2:
                    break
            near = max(opened.values(), key=len)
            far = next(each for each in opened.values() if each is not near)
            delays: dict[str, list[float]] = {"one worker": [], "two workers": []}
            stack.enter_context(Beside([running.process.pid]))
            for _ in range(rounds):
                for what, other in (("one worker", near[1]), ("two workers", far[0])):
                    # Both directions: the ticks of two workers have phases that differ.
                    delays[what] += await across(near[0], other)
                    delays[what] += await across(other, near[0])
    for what, each in delays.items():
        print(f"bridge on {what}: {len(each)} bursts, {quantiles(each)}")
    one, two = (statistics.median(each) for each in delays.values())
    print(f"added delay of the bridge between workers: median {two - one:.1f} ms")
    return two - one <= 20.0


async def websocket_calls(running: SwitchProcess) -> dict[str, int]:
    """Return how many WebSocket calls each worker has."""
    found = {}
    for row in (await text_of(running.url("/metrics"))).splitlines():
        if row.startswith("softswitch_calls_active{") and 'type="websocket"' in row:
            found[row.partition('worker="')[2].partition('"')[0]] = int(float(row.rpartition(" ")[2]))
    return found


async def across(left: Client, right: Client) -> list[float]:
    """Bridge two calls, send bursts from the first and return their delays in milliseconds."""
    seen = right.count("bridged")
    await left.send("bridge", targetSessionId=right.all("answer")[0]["trackId"])
    await right.until(lambda: right.count("bridged") > seen, what="no bridge")
    sent: list[float] = []
    quiet, loud = bytes(640), sound.tone(1000, 0.02, level=0.6).astype("<i2").tobytes()
    first = len(right.audio)

    async def talk(client: Client, *, bursts: bool) -> None:
        # Another phase against the tick of the switch in each round.
        begin = time.monotonic() + random.uniform(0, 0.02)  # noqa: S311 - a phase
        for number in range(ROUND_FRAMES):
            await asyncio.sleep(max(0.0, begin + number * 0.02 - time.monotonic()))
            if bursts and number >= 50 and number % 25 == 0:
                sent.append(time.monotonic())
                await client.binary(loud)
            else:
                await client.binary(quiet)

    await asyncio.gather(talk(left, bursts=True), talk(right, bursts=False))
    await asyncio.sleep(0.5)
    ended = left.count("unbridged")
    await left.send("unbridge")
    await left.until(lambda: left.count("unbridged") > ended, what="no end of the bridge")
    heard, was_loud = [], False
    for when, data in right.audio[first:]:
        samples = abs(sound.pcm(data).astype("int32"))
        is_loud = bool(samples.size and samples.max() > 6000)
        if is_loud and not was_loud:
            # What came before the burst in the same message was heard before it.
            heard.append(when + int((samples > 6000).argmax()) / sound.RATE)
        was_loud = is_loud
    delays = []
    for at in sent:
        later = [one - at for one in heard if 0 <= one - at < 0.45]
        if later:
            delays.append(later[0] * 1000)
    return delays


# --- a worker is killed ---------------------------------------------------------------------


async def kill(calls: int, rate: float, *, preferred: bool) -> bool:
    """Kill one of three workers under standing calls."""
    with workers_switch(3) as (running, sip):
        async with telephones() as (callers, echoes):
            with Beside([running.process.pid]):
                standing = await stand(callers, sip, calls, rate)
                print(f"{len(standing)} calls on workers {dict(Counter(one.worker for one in standing))}")
                before = await echoes.silent(standing)
            if preferred:
                prefer([running.process.pid])
            number, pid = next(iter(worker_pids(running).items()))
            lost = {one.call for one in standing if one.worker == number}
            kept = [one for one in standing if one.call not in lost]
            with Beside([running.process.pid]):
                os.kill(pid, signal.SIGKILL)
                killed = time.monotonic()
                back = await capacity_back(running, callers, sip, number, killed)
                while len(callers.ended) < len(lost) and time.monotonic() - killed < 30:
                    await asyncio.sleep(0.05)
            byes = [(callers.ended[call] - killed) * 1000 for call in lost if call in callers.ended]
            hurt = set(callers.ended) - lost
            silent = await echoes.silent(kept)
            refused = await end_all(callers, sip, kept)
    print(f"kill -9: worker {number} with {len(lost)} calls; silent before: {len(before)}")
    print(f"  BYE for {len(byes)} of {len(lost)} lost calls after {quantiles(byes)}")
    print(
        f"  calls of the others: {len(kept)}; ended {len(hurt)}, silent {len(silent)}, BYE refused {refused}"
    )
    print(f"  capacity back after {back:.2f} s")
    return not hurt and not silent and not refused and len(byes) == len(lost)


async def capacity_back(
    running: SwitchProcess, callers: Callers, sip: int, lost: int, killed: float
) -> float:
    """Make calls until one is answered by a worker that is new; return seconds since the kill."""
    known = set(worker_pids(running)) - {lost}
    while time.monotonic() - killed < START_S:
        with contextlib.suppress(TimeoutError, RuntimeError):
            fresh = await callers.begin(sip)
            await callers.end(sip, fresh)
            if fresh.worker not in known and fresh.worker != lost:
                return time.monotonic() - killed
        await asyncio.sleep(0.05)
    raise TimeoutError("no new worker took a call")


async def end_all(callers: Callers, sip: int, calls: Sequence[Standing]) -> int:
    """End calls; return how many the switch did not know."""
    refused = 0
    for start in range(0, len(calls), 10):
        outcomes = await asyncio.gather(
            *(callers.end(sip, one) for one in calls[start : start + 10]), return_exceptions=True
        )
        refused += sum(outcome is not None for outcome in outcomes)
        await asyncio.sleep(0.1)
    return refused


# --- rolling restart ------------------------------------------------------------------------


@dataclass
class Outcomes:
    """What became of the calls of a run."""

    good: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    when: list[float] = field(default_factory=list)
    """Monotonic seconds of what went wrong."""

    def note(self, task: "asyncio.Future[Any]") -> None:
        """Count a call that is over."""
        if task.cancelled():
            self.bad["cancelled"] += 1
        elif (error := task.exception()) is not None:
            self.bad[f"{type(error).__name__}: {error}"] += 1
            self.when.append(time.monotonic())
        else:
            self.good += 1


async def restart(calls: int, rate: float, http_rate: float) -> bool:
    """Replace all workers under standing calls and new ones, of SIP and of HTTP on kept connections."""
    sip_calls, http_calls = Outcomes(), Outcomes()
    with workers_switch(2) as (running, sip):
        async with telephones() as (callers, echoes), aiohttp.ClientSession() as session:
            standing = await stand(callers, sip, calls, 25.0)
            before = set(worker_pids(running).values())
            over = asyncio.Event()
            with Beside([running.process.pid]):
                streams = [
                    asyncio.ensure_future(repeat(rate, over, sip_calls, lambda: callers.call(sip))),
                    asyncio.ensure_future(
                        repeat(http_rate, over, http_calls, lambda: wavix_call(session, running))
                    ),
                ]
                await asyncio.sleep(2)
                running.process.send_signal(signal.SIGUSR2)
                began = time.monotonic()
                await replaced(running, before, 2)
                took = time.monotonic() - began
                await asyncio.sleep(3)
                over.set()
                await asyncio.gather(*streams)
            figures = await supervisor_figures(running)
            cut = len([one for one in standing if one.call in callers.ended])
            silent = await echoes.silent(standing)
            refused = await end_all(callers, sip, standing)
            old = await gone(before)
    for what, outcomes in (("SIP", sip_calls), ("HTTP", http_calls)):
        if outcomes.when:
            first, last = min(outcomes.when) - began, max(outcomes.when) - began
            print(f"  {what}: failures from {first:.1f} to {last:.1f} s after the signal")
    print(f"  requests sent again: {callers.again}; {figures}")
    print(f"rolling restart: two workers replaced in {took:.1f} s; the old ones ended: {old}")
    print(f"  {calls} standing calls: cut {cut}, silent {len(silent)}, BYE refused {refused}")
    print(f"  new SIP calls at {rate:g} a second: {sip_calls.good} good, bad {dict(sip_calls.bad)}")
    print(
        f"  new calls of HTTP at {http_rate:g} a second, kept connections: {http_calls.good} good, "
        f"bad {dict(http_calls.bad)}"
    )
    return not (cut or silent or refused or sip_calls.bad or http_calls.bad)


async def replaced(running: SwitchProcess, before: set[int], wanted: int) -> None:
    """Wait until as many new workers as wanted are ready and no old one is."""
    async with asyncio.timeout(START_S):
        while True:
            fresh = set(worker_pids(running).values()) - before
            if len(fresh) >= wanted and f"workers_ready {wanted}" in await text_of(running.url("/metrics")):
                return
            await asyncio.sleep(0.1)


async def gone(before: set[int]) -> bool:
    """Tell whether processes end within a minute."""
    end = time.monotonic() + 60
    while any(map(runs, before)) and time.monotonic() < end:
        await asyncio.sleep(0.1)
    return not any(map(runs, before))


def runs(pid: int) -> bool:
    """Tell whether a process is there."""
    return Path(f"/proc/{pid}").exists()


async def repeat(rate: float, over: asyncio.Event, outcomes: Outcomes, make: Any) -> None:
    """Make calls at an even rate until the end, and wait for the last one."""
    loop, running, number = asyncio.get_running_loop(), set(), 0
    begin = loop.time()
    while not over.is_set() and rate:
        number += 1
        task = asyncio.ensure_future(make())
        running.add(task)
        task.add_done_callback(outcomes.note)
        task.add_done_callback(running.discard)
        await asyncio.sleep(max(0.0, begin + number / rate - loop.time()))
    await asyncio.gather(*running, return_exceptions=True)


async def wavix_call(session: aiohttp.ClientSession, running: SwitchProcess) -> None:
    """Place a call and end it, on any connection of the session that is kept alive."""
    async with session.post(running.url("/v1/call"), json={"from": "100", "to": "echo"}) as answer:
        body = await answer.json()
        if answer.status != 200:
            raise RuntimeError(f"POST /v1/call: {answer.status} {body}")
    await asyncio.sleep(0.2)
    async with session.delete(running.url(f"/v1/call/{body['uuid']}")) as answer:
        if answer.status != 200:
            raise RuntimeError(f"DELETE: {answer.status} {await answer.text()}")


# --- several machines behind Kamailio and HAProxy ------------------------------------------------


@dataclass
class Machines:
    """Three nodes with everything in front of them and behind them."""

    nodes: list[SwitchProcess]
    sip: int
    https: int
    redis: RedisServer
    postgres: PostgresServer
    database: str
    folder: Path


@contextlib.contextmanager
def machines() -> Iterator[Machines]:
    """Run Redis, PostgreSQL, three nodes, Kamailio and HAProxy with the files of `deploy/cluster`."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(redis_server(folder / "redis"))
        postgres = stack.enter_context(postgres_server())
        database = postgres.database()
        nodes, ports = [], []
        for name in ("one", "two", "three"):
            ports.append(free_port())
            text = SETTINGS.format(workers=1, sip=ports[-1]).replace("[[route]]", CLUSTER + "[[route]]")
            text = text.format(redis=redis.url, name=name, address=free_port(), postgres=database)
            nodes.append(stack.enter_context(SwitchProcess(folder / name, settings_text=text)))
        listed = folder / "switches.list"
        listed.write_text("".join(f"1 sip:{HOST}:{port} 0 0\n" for port in ports))
        sip, https = free_port(), free_port()
        program(
            stack, folder / "kamailio.log",
            shutil.which("kamailio") or "/usr/sbin/kamailio", "-f", DEPLOY / "kamailio.cfg", "-Y", folder,
            "-m", "64", "-M", "8", "-DD", "-E",
            "-A", f"LISTEN=udp:{HOST}:{sip}", "-A", f'SWITCHES="{listed}"',
        )  # fmt: skip
        certificate, key = make_certificate(folder)
        both = folder / "both.pem"
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        proxy = folder / "haproxy.cfg"
        proxy.write_text((DEPLOY / "haproxy.cfg").read_text() + '    server three "${SWITCH_3}"\n')
        program(
            stack, folder / "haproxy.log", shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", proxy,
            HTTPS_BIND=f"{HOST}:{https}", SOFTSWITCH_CERTIFICATE=str(both),
            **{f"SWITCH_{number}": f"{HOST}:{node.port}" for number, node in enumerate(nodes, 1)},
        )  # fmt: skip
        time.sleep(3)  # the proxies look at the switches every one or two seconds
        yield Machines(nodes, sip, https, redis, postgres, database, folder)
        for node in nodes:
            report_log(node)


def program(stack: contextlib.ExitStack, log: Path, *words: object, **environ: str) -> None:
    """Run a server until the end of a block."""
    out = stack.enter_context(log.open("wb"))
    running = subprocess.Popen(
        [str(word) for word in words], stdout=out, stderr=out, env=os.environ | environ
    )

    def end() -> None:
        running.terminate()
        running.wait(20)

    stack.callback(end)


DICE = random.Random(1)  # noqa: S311 - chooses calls and nodes


def pick(nodes: Sequence[SwitchProcess]) -> SwitchProcess:
    """Return any node."""
    return DICE.choice(nodes)


@dataclass
class Commands:
    """What became of commands that went to random nodes."""

    good: int = 0
    away: int = 0
    """Commands that were refused while Redis was away: other nodes' calls are not found then."""
    bad: Counter[str] = field(default_factory=Counter)
    taken: list[float] = field(default_factory=list)


async def nodes(calls: int, rate: float, away_s: float) -> bool:
    """Have SIPp call through Kamailio, and send commands to random nodes; with `away_s` Redis is killed."""
    with machines() as here:
        commands, over = Commands(), asyncio.Event()
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        async with aiohttp.ClientSession() as session, contextlib.AsyncExitStack() as clients:
            standing = []
            for number in range(STANDING):
                url = f"wss://{HOST}:{here.https}/call?id=standing-{number}&dump=false"
                client = await clients.enter_async_context(Client(url, ssl=trust))
                await client.invite(vad=False)
                standing.append(client)
            redis_is_away = asyncio.Event()
            with Beside([node.process.pid for node in here.nodes]):
                sipp = await start_sipp(here, calls, rate)
                asking = asyncio.ensure_future(command_nodes(session, here, commands, over, redis_is_away))
                whole = -1.0
                if away_s:
                    await asyncio.sleep(max(1.0, (calls / rate - away_s) / 2))
                    here.redis.kill()
                    redis_is_away.set()
                    await asyncio.sleep(away_s)
                    await asyncio.to_thread(here.redis.start)
                    whole = await until_whole(session, here)
                    redis_is_away.clear()
                code = await sipp.wait()
                over.set()
                await asking
            cut = sum(client.socket.closed for client in standing)
            good, failed, again = sipp_counts(here.folder)
            await asyncio.sleep(2)
            records = await asyncio.to_thread(records_of, here)
        print(f"SIPp: {good} calls good, {failed} failed of {calls} at {rate:g} a second, exit {code}")
        print(f"  messages sent again: {again}; standing WebSocket calls cut: {cut} of {STANDING}")
        print(
            f"  commands to random nodes: {commands.good} good ({quantiles(commands.taken)}), "
            f"bad {dict(commands.bad)}, not found while Redis was away {commands.away}"
        )
        print(f"  records in PostgreSQL: {records}")
        if away_s:
            print(f"  Redis was away for {away_s:g} s; the directory was whole {whole:.1f} s after")
    return not (code or failed or cut or commands.bad) and (not away_s or 0 <= whole <= 5)


async def start_sipp(here: Machines, calls: int, rate: float) -> asyncio.subprocess.Process:
    """Start SIPp as the caller."""
    folder = here.folder / "sipp"
    folder.mkdir()
    (folder / "caller.xml").write_text(CALLER)
    with (folder / "screen.txt").open("wb") as screen:
        return await asyncio.create_subprocess_exec(
            "sipp", "-sf", str(folder / "caller.xml"), "-i", HOST, "-p", str(free_port()),
            "-mi", HOST, "-mp", str(free_port()), "-nostdin", "-s", "echo", "-m", str(calls), "-r", str(rate),
            "-d", "5000", "-timeout", str(int(calls / rate + 120)), "-trace_err",
            "-error_file", str(folder / "errors.log"), "-trace_stat", "-stf", str(folder / "statistics.csv"),
            "-fd", "5", f"{HOST}:{here.sip}", stdout=screen, stderr=screen, cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip


def sipp_counts(folder: Path) -> tuple[int, int, int]:
    """Return how many calls SIPp counts as good and failed, and how many messages it sent again."""
    errors = folder / "sipp" / "errors.log"
    if errors.exists():
        print(errors.read_text(errors="replace")[:2000])
    rows = (folder / "sipp" / "statistics.csv").read_text().splitlines()
    last = dict(zip(rows[0].split(";"), rows[-1].split(";"), strict=False))
    return int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"]), int(last["Retransmissions(C)"])


def records_of(here: Machines) -> str:
    """Return how many records of calls there are, by reason."""
    done = subprocess.run(
        [shutil.which("psql") or "/usr/bin/psql", here.database, "-Atc",
         "SELECT kind, reason, count(*) FROM calls GROUP BY 1, 2 ORDER BY 3 DESC"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip().replace("\n", ", ") or done.stderr.strip()


async def command_nodes(
    session: aiohttp.ClientSession,
    here: Machines,
    commands: Commands,
    over: asyncio.Event,
    redis_is_away: asyncio.Event,
) -> None:
    """Send commands for random calls to random nodes: for young ones, which do not end meanwhile."""
    seen: dict[str, float] = {}
    while not over.is_set():
        async with session.get(pick(here.nodes).url("/call/lists")) as answer:
            listed = [call["id"] for call in (await answer.json())["calls"]]
        now = time.monotonic()
        seen = {one: seen.get(one, now) for one in listed}
        young = [one for one in listed if now - seen[one] < 1.0 or one.startswith("standing-")]
        for one in DICE.sample(young, min(5, len(young))):
            was_away = redis_is_away.is_set()
            began = time.perf_counter()
            url = pick(here.nodes).url(f"/command/{one}")
            async with session.post(url, json={"command": "mark", "name": "x"}) as answer:
                text = await answer.text()
            if answer.status == 200:
                commands.good += 1
                commands.taken.append((time.perf_counter() - began) * 1000)
            elif was_away or redis_is_away.is_set():
                commands.away += 1
            else:
                commands.bad[f"{answer.status} {text[:80]}"] += 1
        await asyncio.sleep(0.4)


async def until_whole(session: aiohttp.ClientSession, here: Machines) -> float:
    """Wait until every node finds every standing call; return seconds since Redis was back."""
    began = time.monotonic()
    while time.monotonic() - began < 60:
        missed = 0
        for node in here.nodes:
            async with session.get(node.url("/call/lists")) as answer:
                listed = {call["id"] for call in (await answer.json())["calls"]}
            missed += len({f"standing-{number}" for number in range(STANDING)} - listed)
            for number in range(STANDING):
                url = node.url(f"/command/standing-{number}")
                async with session.post(url, json={"command": "mark", "name": "x"}) as answer:
                    missed += answer.status != 200
        if not missed:
            return time.monotonic() - began
        await asyncio.sleep(0.2)
    return -1.0


def main() -> None:
    """Run one sub-command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["command", "bridge", "datagram", "kill", "restart", "nodes"])
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rate", type=float, default=25.0, help="SIP calls a second")
    parser.add_argument("--http-rate", type=float, default=4.0, help="calls of HTTP a second (restart)")
    parser.add_argument("--commands", type=int, default=500, help="of each kind (command)")
    parser.add_argument("--datagrams", type=int, default=10_000, help="of each kind (datagram)")
    parser.add_argument("--rounds", type=int, default=8, help="of each kind (bridge)")
    parser.add_argument("--redis-away", type=float, default=0.0, help="seconds without Redis (nodes)")
    parser.add_argument("--preferred", action="store_true", help="run before all others of the machine")
    given = parser.parse_args()
    if given.what == "command":
        sys.exit(not command(given.commands, preferred=given.preferred))
    work = {
        "bridge": lambda: bridge(given.rounds, preferred=given.preferred),
        "datagram": lambda: datagram(given.datagrams, 1000.0, preferred=given.preferred),
        "kill": lambda: kill(given.calls, given.rate, preferred=given.preferred),
        "restart": lambda: restart(given.calls, given.rate, given.http_rate),
        "nodes": lambda: nodes(given.calls, given.rate, given.redis_away),
    }[given.what]
    sys.exit(not asyncio.run(work()))


if __name__ == "__main__":
    main()
