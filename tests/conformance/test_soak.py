"""A soak: random commands and random faults around one switch, beside an honest call that must not notice.

`SOFTSWITCH_TEST_SOAK_S` says how long (45 s without it, 1800 for the long one, 0 to leave it out) and
`SOFTSWITCH_TEST_SOAK_SEED` what chance does. Three further processes measure (`tests.support.pace`): the
honest call, a control that only wakes every 20 ms, and how long the switch waits for a processor. Where
namespaces are allowed, half of what the switch reaches lies behind a cable that is pulled now and then.
"""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.conftest import ROOT, missing
from tests.support import sound
from tests.support.client import Client
from tests.support.control import Hooks
from tests.support.every_name import NameServer, name_server
from tests.support.far_host import FAR, NEAR, FarHost, NotAllowed, far_host
from tests.support.holdings import Held, Holdings, idle, speech_processes
from tests.support.pace import Pace, unexcused
from tests.support.ports import free_port
from tests.support.rooms import Rest, Socket
from tests.support.servers import Files
from tests.support.switch import SwitchProcess

SOAK_S = float(os.environ.get("SOFTSWITCH_TEST_SOAK_S", "45"))
SEED = int(os.environ.get("SOFTSWITCH_TEST_SOAK_SEED", "9"))
CALLERS = 3
"""Clients that place one random call after the other."""
MOST_GAP_S = 0.04
DEED_S = 90.0
"""How long one deed (a call with its commands, a room, a fault) may take on a loaded machine."""
SETTLE_S = 90.0
"""How long after the last call everything may take to be given back."""


@dataclass
class Soak:
    """The switch, what is around it, and chance."""

    switch: SwitchProcess
    files: Files
    hooks: Hooks
    names: NameServer
    http: aiohttp.ClientSession
    holdings: Holdings
    sip_port: int
    far: FarHost | None
    """The host behind the cable; None where this process may make no namespaces."""
    far_port: int = 0
    """Port of the files on the far host."""
    chance: Random = field(default_factory=lambda: Random(SEED))
    media: str = "good"
    """How the server of streams behaves: good, dead or slow."""
    webhook_down: bool = False
    done: Counter[str] = field(default_factory=Counter)

    # ------------------------------------------------------------ servers that faults change

    async def serve_media(self, request: web.Request) -> web.StreamResponse:
        """Serve a stream: return what comes, refuse, or never read."""
        if self.media == "dead":
            assert request.transport is not None
            request.transport.abort()
            self.done["stream cut"] += 1
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.done["stream"] += 1
        if self.media == "slow":
            self.done["stream unread"] += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3):
                    while not socket.closed and self.media == "slow":
                        await asyncio.sleep(0.1)
        with contextlib.suppress(ConnectionError):
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    await socket.send_bytes(message.data)
        return socket

    async def take_webhook(self, body: dict[str, Any]) -> int:
        """Take a webhook, or fail."""
        self.hooks.bodies.clear()
        self.hooks.requests.clear()
        self.done["webhook"] += 1
        self.done["webhook failed"] += self.webhook_down
        return 503 if self.webhook_down else 200

    def url(self, name: str, scheme: str = "http") -> str:
        """Return the URL of a file by a host name that was never asked before."""
        place, port = "near", self.files.port
        if self.far is not None and self.chance.random() < 0.5:
            place, port = "far", self.far_port
        return f"{scheme}://{place}{self.chance.randrange(10**9)}.example.org:{port}/{name}"

    async def felt(self, effect: Callable[[], int]) -> None:
        """Let a fault last until something meets it."""
        before, end = effect(), time.monotonic() + DEED_S / 2
        while effect() == before and time.monotonic() < end:
            await asyncio.sleep(0.05)

    # ------------------------------------------------------------ faults

    async def store_away(self) -> None:
        """Lock the database against the switch."""
        link = sqlite3.connect(self.switch.data / "softswitch.db", isolation_level=None, timeout=0)
        try:
            end = time.monotonic() + DEED_S / 2
            while not link.in_transaction and time.monotonic() < end:
                with contextlib.suppress(sqlite3.OperationalError):
                    link.execute("BEGIN IMMEDIATE")
                    self.done["store locked"] += 1
                await asyncio.sleep(0.01)
            await asyncio.sleep(self.chance.uniform(1, 7))
        finally:
            link.close()

    async def dns_silent(self) -> None:
        """Leave queries without an answer."""
        self.names.silent = True
        await asyncio.sleep(self.chance.uniform(0.5, 4))
        await self.felt(lambda: self.names.ignored)
        self.names.silent = False

    async def webhook_away(self) -> None:
        """Fail every webhook."""
        self.webhook_down = True
        await asyncio.sleep(self.chance.uniform(0.5, 4))
        await self.felt(lambda: self.done["webhook failed"])
        self.webhook_down = False

    async def stream_dead(self) -> None:
        """Cut every stream as it opens."""
        self.media = "dead"
        await asyncio.sleep(self.chance.uniform(0.5, 3))
        await self.felt(lambda: self.done["stream cut"])
        self.media = "good"

    async def stream_slow(self) -> None:
        """Leave what streams send unread."""
        self.media = "slow"
        await asyncio.sleep(self.chance.uniform(0.5, 4))
        await self.felt(lambda: self.done["stream unread"])
        self.media = "good"

    async def network_down(self) -> None:
        """Pull the cable to the far host, and plug it in again."""
        assert self.far is not None
        await self.far.pull()
        try:
            await asyncio.sleep(self.chance.uniform(0.2, 3))
        finally:
            await self.far.plug()
        await self.felt(lambda: self.done["far call"])  # the telephone is heard again

    async def worker_killed(self) -> None:
        """Kill one worker of speech."""
        workers = speech_processes(self.switch.process.pid)
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(workers), signal.SIGKILL)
            self.done["killed"] += 1
        await asyncio.sleep(0.5)

    async def faults(self, end: float) -> None:
        """Cause one fault after the other."""
        kinds = [
            self.store_away,
            self.dns_silent,
            self.webhook_away,
            self.stream_dead,
            self.stream_slow,
            self.worker_killed,
            *([self.network_down] if self.far is not None else []),
        ]
        while time.monotonic() < end:
            self.chance.shuffle(kinds)
            for kind in kinds:
                if time.monotonic() >= end:
                    return
                await within(kind)
                self.done[kind.__name__] += 1
                await asyncio.sleep(self.chance.uniform(0, 0.5))

    # ------------------------------------------------------------ commands

    def option(self) -> dict[str, Any]:
        """Return the options of a random call."""
        chance = self.chance
        option: dict[str, Any] = {"vad": chance.random() < 0.5}
        if chance.random() < 0.6:
            option["callee"] = chance.choice(["echo", "tone", "echo", "nowhere"])
        if chance.random() < 0.3:
            option["recorder"] = {"format": chance.choice(["wav", "opus"])}
        if chance.random() < 0.3:
            option["asr"] = {"provider": "builtin", "grammar": ["yes", "no"]}
        if chance.random() < 0.3:
            option["mediaPass"] = {"url": self.url("media", "ws")}
        if chance.random() < 0.1:
            option["ambiance"] = {"path": self.url("tone.wav")}
        return option

    def command(self) -> dict[str, Any]:
        """Return a random command."""
        chance = self.chance
        layer = chance.choice(["", "", "other"])
        commands: list[dict[str, Any]] = [
            {"command": "tts", "text": "Hello there.", "playId": "t", "layer": layer},
            {"command": "play", "url": self.url("tone.wav"), "loop": chance.random() < 0.3, "layer": layer},
            {"command": "play", "url": self.url("absent.wav")},
            {"command": "play", "url": self.url("broken.wav")},
            {"command": "interrupt", "graceful": chance.random() < 0.5},
            {"command": "interrupt", "fadeOutMs": chance.choice([0, 40, 500])},
            {"command": "pause"},
            {"command": "resume"},
            {"command": "mute"},
            {"command": "unmute"},
            {"command": "mark", "name": "m"},
            {"command": "dtmf", "digits": chance.choice(["1", "12#", "5,5"])},
            {"command": "collect", "maxDigits": 2, "timeoutMs": 300},
            {"command": "history", "speaker": "user", "text": "a line"},
            {"command": "custom", "sender": "soak", "data": {"n": chance.random()}},
            {"command": "refer", "callee": chance.choice(["tone", "nowhere"])},
            {"command": "bridge", "targetSessionId": "nowhere"},
            {"command": "nonsense"},
            {"command": "play", "url": 5},
        ]
        return chance.choice(commands)

    async def one_call(self) -> None:
        """Place a random call, send it random commands, and end it in a random way."""
        chance = self.chance
        async with Client(self.switch.socket_url("/call", dump=str(chance.random() < 0.3).lower())) as client:
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await client.send("invite", option=self.option())
                for _ in range(chance.randrange(2, 10)):
                    if client.close_code is not None:
                        break
                    if chance.random() < 0.4:
                        await client.binary(sound.tone(500, 0.1).tobytes())
                    await client.text(json.dumps(self.command()))
                    await asyncio.sleep(chance.uniform(0, 0.25))
                match chance.randrange(4):
                    case 0:
                        client.cut()
                    case 1:
                        client.stop_reading()
                        await asyncio.sleep(0.3)
                        client.read_again()
                    case 2:
                        await client.send("hangup")
                        await client.closed(30)
                    case _:
                        pass  # the client closes the socket
        self.done["call"] += 1

    async def one_far_call(self) -> None:
        """Call from the telephone behind the cable, through whatever happens to the cable."""
        assert self.far is not None
        user = str(self.chance.randrange(10**6))
        async with self.far.phone(self.sip_port, user) as phone:
            assert await phone.call_the_echo(self.chance), "the telephone does not hear its echo"
        self.done["far call"] += 1

    async def one_room(self) -> None:
        """Make a room, fill it with two participants, and delete it."""
        rest = Rest(self.switch, self.http)
        status, made = await rest.ask("POST", "/rooms", {"name": "soak", "settings": {}})
        if status == 503:
            self.done["room refused"] += 1  # the store is away, and says so
            return
        assert status == 201, made
        async with Socket(self.switch) as first, Socket(self.switch) as second:
            for socket, agent in ((first, "a"), (second, "b")):
                await socket.say("room:join", roomId=made["id"], agentId=agent, metadata={})
            await asyncio.sleep(self.chance.uniform(0, 0.5))
        end = time.monotonic() + SETTLE_S
        while True:
            status, answer = await rest.ask("DELETE", f"/rooms/{made['id']}")
            if status < 300 or status == 404:
                break
            assert status == 503, (status, answer)
            assert time.monotonic() < end, answer
            await asyncio.sleep(0.5)
        self.done["room"] += 1

    async def one_controlled_call(self) -> None:
        """Place a call by REST, stream it, and end it; each step is posted to the webhooks."""
        wanted = {"from": "100", "to": self.chance.choice(["echo", "tone"])}
        async with self.http.post(self.switch.url("/v1/call"), json=wanted) as answer:
            placed = await answer.json()
            assert answer.status == 200, placed
        path = f"/v1/call/{placed['uuid']}"
        await asyncio.sleep(self.chance.uniform(0, 0.3))
        stream = {"stream_type": "twoway", "stream_channel": "inbound", "stream_url": self.url("media", "ws")}
        async with self.http.post(self.switch.url(f"{path}/streams"), json=stream) as answer:
            assert answer.status != 500, await answer.text()
        await asyncio.sleep(self.chance.uniform(0, 1))
        async with self.http.delete(self.switch.url(path)) as answer:
            assert answer.status in {200, 404}, await answer.text()
        self.done["controlled"] += 1

    async def one_aborted_set_up(self) -> None:
        """Begin a WebRTC call and leave at once."""
        client = self.switch.rtc()
        async with client:
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await client.send("invite", option={"offer": await client.offer()})
                await asyncio.sleep(self.chance.uniform(0, 0.1))
                await client.send("hangup")
        self.done["aborted"] += 1

    async def repeat(self, work: Callable[[], Awaitable[None]], end: float, pause_s: float) -> None:
        """Do something again and again."""
        while time.monotonic() < end:
            await within(work)
            await asyncio.sleep(self.chance.uniform(0, pause_s))

    async def storm(self, seconds: float) -> None:
        """Let all of it happen at once."""
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(self.faults(end))
            for _ in range(CALLERS):
                group.create_task(self.repeat(self.one_call, end, 0.5))
            group.create_task(self.repeat(self.one_room, end, 2.0))
            group.create_task(self.repeat(self.one_aborted_set_up, end, 2.0))
            group.create_task(self.repeat(self.one_controlled_call, end, 2.0))
            if self.far is not None:
                group.create_task(self.repeat(self.one_far_call, end, 1.0))

    # ------------------------------------------------------------ what is held

    async def start_workers(self) -> None:
        """Use speech once: workers that a fault killed start again, so that counts compare."""
        async with Client(self.switch.socket_url("/call")) as client:
            await client.invite(vad=False, asr={"provider": "builtin", "grammar": ["yes", "no"]})
            await client.send("tts", text="Hello there.", playId="t", endOfStream=True)
            await client.wait("trackEnd", lambda event: event.get("playId") == "t", timeout=SETTLE_S)
            await client.hang_up()

    async def settled(self, start: Held | None = None) -> Held:
        """Wait until the switch is idle, and holds what it held at a start; return what is held."""
        await self.start_workers()
        end, held = time.monotonic() + SETTLE_S, await self.holdings.count()
        while time.monotonic() < end and not idle(held, start):
            await asyncio.sleep(0.5)
            held = await self.holdings.count()
        return held


async def within(deed: Callable[[], Awaitable[None]]) -> None:
    """Do something; fail with its name where it does not end."""
    bound = asyncio.timeout(DEED_S)
    try:
        async with bound:
            await deed()
    except TimeoutError:
        if bound.expired():
            name = getattr(deed, "__name__", "deed")
            raise AssertionError(f"{name} did not end within {DEED_S:g} s") from None
        raise


@contextlib.asynccontextmanager
async def soaking(folder: Path) -> AsyncIterator[Soak]:
    """Run a switch with all that is around it."""
    async with contextlib.AsyncExitStack() as stack:
        far = enter_far_host(stack)
        # Kept connections are used in turn, so that all of them would stay open on the switch for ever.
        unkept = aiohttp.TCPConnector(force_close=True)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=unkept))
        files = await stack.enter_async_context(Files())
        hooks = await stack.enter_async_context(Hooks())
        names = await stack.enter_async_context(name_server())
        files.put("tone.wav", sound.wav(sound.tone(600, 1.0)))
        files.put("broken.wav", sound.wav(sound.tone(600, 0.2))[:30])
        far_port = await files.serve_also(far.listening()) if far is not None else 0
        sip_port = free_port()
        near = NEAR if far is not None else "127.0.0.1"
        settings = f"""
[egress]
allow = ["127.0.0.0/8", "{FAR}"]
[sip]
host = "{near}"
port = {sip_port}
allow = ["127.0.0.0/8", "{FAR}"]
[rtp]
host = "{near}"
[[route]]
match = "echo"
to = "echo"
"""
        tasks_file = folder / "tasks"
        program = ("-m", "tests.support.soaked", str(names.port), str(tasks_file))
        environment = {"PYTHONPATH": str(ROOT)}
        switch = stack.enter_context(SwitchProcess(folder / "data", environment, settings, program=program))
        holdings = Holdings(switch, http, tasks_file)
        soak = Soak(switch, files, hooks, names, http, holdings, sip_port, far, far_port)
        files.answers["media"] = soak.serve_media
        hooks.answer = soak.take_webhook
        for kind in ("on-call", "post-call"):
            wanted = {"url": hooks.url(kind), "event_type": kind}
            async with http.post(switch.url("/v1/call/webhooks"), json=wanted) as answer:
                assert answer.status == 201, await answer.text()
        yield soak


def enter_far_host(stack: contextlib.AsyncExitStack) -> FarHost | None:
    """Go into a namespace with a host behind a cable; None where that is not allowed."""
    try:
        return stack.enter_context(far_host())
    except (NotAllowed, FileNotFoundError) as error:  # no right, or no ip(8)
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            missing(f"network namespaces are not allowed: {error}")
        return None


async def measured(soak: Soak) -> dict[str, Any]:
    """Let the storm rage beside an honest call; return what the measuring processes say."""
    measuring: list[Pace] = []
    try:
        for kind, arguments in (
            ("call", (soak.switch.socket_url("/call", id="honest"),)),
            ("control", ()),
        ):
            measuring.append(await asyncio.to_thread(Pace, kind, *arguments))
        measuring.append(await asyncio.to_thread(Pace, "waits", soak.switch.process.pid, measuring[0].pid))
        since = time.monotonic()
        await soak.storm(SOAK_S)
        call, control, waits = [await asyncio.to_thread(one.report) for one in measuring]
    finally:
        for one in measuring:
            one.kill()
    call["gaps"] = [(begin, end) for begin, end in call["gaps"] if begin >= since]
    return {"call": call, "control": control["gaps"], "waits": waits["waits"]}


def test_gaps_are_excused_only_by_what_the_machine_did_at_the_same_moment():
    gap = (10.0, 10.1)
    assert unexcused([gap], [], [], MOST_GAP_S) == [gap]
    assert unexcused([(10.0, 10.03)], [], [], MOST_GAP_S) == []
    assert unexcused([gap], [(10.01, 10.1)], [], MOST_GAP_S) == []  # the control was 70 ms late
    assert unexcused([gap], [(10.01, 10.05)], [], MOST_GAP_S) == [gap]  # 20 ms late, too little
    assert unexcused([gap], [(9.0, 9.8)], [], MOST_GAP_S) == [gap]  # late at another time
    assert unexcused([gap], [], [[10.0, 10.02, 0.04], [10.04, 10.06, 0.03]], MOST_GAP_S) == []
    assert unexcused([gap], [], [[10.0, 10.02, 0.04], [10.9, 11.0, 0.03]], MOST_GAP_S) == [gap]


@pytest.mark.skipif(SOAK_S == 0, reason="SOFTSWITCH_TEST_SOAK_S=0 leaves the soak out")
@pytest.mark.slow
@pytest.mark.client  # it measures: those tests have the machine for themselves
@pytest.mark.timeout(SOAK_S + 3 * SETTLE_S + 60)
async def test_honest_call_notices_nothing_of_random_commands_and_faults(tmp_path: Path) -> None:
    async with soaking(tmp_path) as soak:
        began = time.monotonic()
        await soak.storm(4.0)  # what is loaded on first use is loaded
        start = await soak.settled()
        soak.done.clear()
        print(f"settled after {time.monotonic() - began:.0f} s")  # noqa: T201
        began = time.monotonic()
        seen = await measured(soak)
        lasted = time.monotonic() - began
        end = await soak.settled(start)
        print(f"{lasted:.0f} s, {dict(soak.done)}\nstart {start}\nend {end}")  # noqa: T201
        longest = [
            max((b - a for a, b in spans), default=0) for spans in (seen["call"]["gaps"], seen["control"])
        ]
        print(f"longest gap of the call {longest[0]:.3f} s, of the control {longest[1]:.3f} s")  # noqa: T201
        assert idle(end, start), (start, end, soak.holdings.names())
        assert not seen["call"]["ended"], seen["call"]
        assert seen["call"]["pieces"] > 0.9 * 50 * SOAK_S
        assert seen["call"]["silent"] <= 1
        gaps = unexcused(seen["call"]["gaps"], seen["control"], seen["waits"], MOST_GAP_S)
        assert not gaps, [(round(a - began, 3), round(b - a, 3)) for a, b in gaps]
        wanted = ["call", "controlled", "room", "aborted", "webhook", "stream", "killed", "store locked"]
        wanted += ["webhook failed", "stream cut", "stream unread"]
        wanted += ["far call", "network_down"] if soak.far is not None else []
        for kind in wanted:
            assert soak.done[kind], f"the soak had no {kind}: {soak.done}"
        assert soak.names.ignored, "no query was left without an answer"
        assert not soak.switch.tracebacks(), soak.switch.tracebacks()[:3]
