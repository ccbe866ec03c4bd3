"""Calls of telephones leave nothing behind: no file, no thread, no task, no port, no object."""

import asyncio
import gc
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import aiohttp
import pytest

from softswitch.call.call import Call
from softswitch.legs.sip.leg.leg import SipLeg
from softswitch.legs.sip.media.negotiation import SipMedia
from softswitch.sip import events as hp
from softswitch.sip.dialog.exchange import Exchange
from softswitch.sip.session.session import Session
from softswitch.sip.session.state import SessionState
from softswitch.switch.conversation.conversation import Conversation
from tests.conformance.conftest import StartSwitch
from tests.conformance.test_faults import LEAK_CALLS, slope
from tests.legs.sip.phone import Phone, phone, sdp
from tests.support.ports import free_port
from tests.support.switch import Places, SwitchProcess
from tests.support.waiting import until

PERISHABLE = (Call, Conversation, SipLeg, SipMedia, Session, SessionState, Exchange)
"""What belongs to one call alone."""
AT_ONCE = 8
PAUSE_S = 0.08
"""Between two calls of one line: a port rests for 30 s, and at more than 100 calls a second none is left."""
MEMORY_S = 35.0
"""For how long SIP remembers answered transactions; from then on memory stays as it is."""
OUTCOMES = ("local", "486", "local", "bye", "487", "486")
KINDS = len(OUTCOMES)


class Callee(Phone):
    """Peer behind the switch's trunk: does what the number asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: dict[str, str] = {}

    def take(self, happening: hp.CallEvent) -> None:
        if not isinstance(happening, hp.Invited):
            return
        number, session = happening.request.uri.user or "", happening.session
        if number.startswith("25"):
            self.do("reject", session, 486)
        elif number.startswith("24"):
            self.do("ring", session)
        else:
            self.do("answer", session, sdp())
            self.sessions[number] = session

    def hang_up(self, number: str) -> None:
        """End a call as the called one."""
        self.do("bye", self.sessions[number])


class Caller(Phone):
    """Waits for what happens to each of many calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, asyncio.Queue[hp.CallEvent]] = {}

    def take(self, happening: hp.CallEvent) -> None:
        session = getattr(happening, "session", "")
        if session in self.calls:
            self.calls[session].put_nowait(happening)

    async def call(self, port: int, number: str, callee: Callee) -> str:
        """Make one call, hung up by the side that its number says; return how it ended."""
        session = self.invite(port, number)
        mine = self.calls[session] = asyncio.Queue()
        hung_up = False
        async with asyncio.timeout(60):
            while not isinstance(happened := await mine.get(), hp.Ended | hp.Rejected):
                answered = isinstance(happened, hp.Answered)
                if answered and number.startswith("23"):
                    callee.hang_up(number)
                elif (answered or number.startswith("24")) and not hung_up:
                    hung_up = True
                    self.do("bye", session)
        del self.calls[session]
        return happened.reason if isinstance(happened, hp.Ended) else str(happened.code)


@asynccontextmanager
async def phones() -> AsyncIterator[tuple[Caller, Callee]]:
    """Give who calls, and who is called."""
    async with phone(made=Caller()) as caller, phone(made=Callee()) as callee:
        assert isinstance(caller, Caller)
        assert isinstance(callee, Callee)
        yield caller, callee


def rules(trunk_port: int) -> str:
    """Return settings: 20... is an echo, 29... refused, all else goes over a trunk."""
    return f"""
[[trunk]]
name = "far"
servers = ["127.0.0.1:{trunk_port}"]

[[route]]
match = "20.*"
to = "echo"

[[route]]
match = "21.*"
to = "reject:486"

[[route]]
match = "2.*"
trunk = "far"
to = "trunk:far"
"""


async def many_calls(caller: Caller, callee: Callee, port: int, calls: int, numbers: "count[int]") -> None:
    """Make calls of each kind, some at a time."""
    left = iter(range(calls))

    async def line() -> None:
        for _ in left:
            number = next(numbers)
            kind, begun = number % KINDS, time.monotonic()
            assert await caller.call(port, f"2{kind}{number}", callee) == OUTCOMES[kind]
            await asyncio.sleep(max(0.0, begun + PAUSE_S - time.monotonic()))

    await asyncio.gather(*(line() for _ in range(AT_ONCE)))


async def shown(switch: Places, *names: str) -> dict[str, float]:
    """Return some of the switch's metrics."""
    async with aiohttp.ClientSession() as http, http.get(switch.url("/metrics")) as response:
        lines = [line.split() for line in (await response.text()).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines if name in names}


@pytest.mark.slow
@pytest.mark.timeout(max(120, LEAK_CALLS // 5))
async def test_telephone_calls_leave_nothing_behind(tmp_path: Path) -> None:
    async with phones() as (caller, callee):
        port = free_port()
        environment = {"SOFTSWITCH_SIP_PORT": str(port)}
        with SwitchProcess(tmp_path / "data", environment, rules(callee.port)) as switch:
            process = Path("/proc") / str(switch.process.pid)

            def held() -> tuple[int, int]:
                return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))

            def resident() -> int:
                return int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

            numbers, fifth = count(), LEAK_CALLS // 5
            begun, warm = time.monotonic(), MEMORY_S if LEAK_CALLS >= 5000 else 0.0
            await many_calls(caller, callee, port, fifth, numbers)
            while time.monotonic() < begun + warm:
                await many_calls(caller, callee, port, fifth // 10, numbers)
            files, threads = held()
            points = []
            parts = 16 if LEAK_CALLS >= 5000 else 4
            for part in range(1, parts + 1):
                await many_calls(caller, callee, port, 4 * fifth // parts, numbers)
                points.append((part * 4 * fifth // parts, resident()))
            gauges = "softswitch_sip_legs", "softswitch_sip_sessions", "softswitch_routes"
            async with asyncio.timeout(60):
                while any((left := await shown(switch, *gauges)).values()) or held()[0] > files:
                    await asyncio.sleep(0.1)
            assert left.keys() == set(gauges)
            # The loop's pool of threads grows to its bound when many things happen at once, and stays there.
            assert held()[1] <= threads + min(32, (os.cpu_count() or 1) + 4)
            # In a short run the answered transactions of half a minute are most of what there is.
            assert slope(points) < (1024 if LEAK_CALLS >= 5000 else 16384), points
            assert not switch.tracebacks()


async def test_telephone_calls_go_without_the_garbage_collector(start_switch: StartSwitch) -> None:
    async with phones() as (caller, callee):
        port = free_port()
        switch = start_switch(
            {
                "sip": {"port": port},
                "trunk": [{"name": "far", "servers": [f"127.0.0.1:{callee.port}"]}],
                "route": [
                    {"match": "20.*", "to": "echo"},
                    {"match": "21.*", "to": "reject:486"},
                    {"match": "2.*", "trunk": "far", "to": "trunk:far"},
                ],
            }
        )

        async def tasks() -> int:
            return len(asyncio.all_tasks())

        def left() -> Counter[str]:
            return Counter(type(one).__name__ for one in gc.get_objects() if type(one) in PERISHABLE)

        numbers = count()
        await many_calls(caller, callee, port, 2 * KINDS, numbers)
        await until(lambda: switch.calls() == 0, "calls are left")
        await asyncio.sleep(1)
        running = switch.inside(tasks)
        gc.collect()
        before = left()
        gc.disable()
        try:
            await many_calls(caller, callee, port, 10 * KINDS, numbers)
            await until(lambda: switch.calls() == 0, "calls are left")
            await until(lambda: switch.inside(tasks) <= running, "tasks are left")
            await until(lambda: not left() - before, f"objects are left: {left() - before}")
        finally:
            gc.enable()
        await until(lambda: switch.routes() == 0, f"{switch.routes()} routes are left")
