"""Much at once, against a process: large files, and ten minutes of a stream's audio in a moment."""

import asyncio
import base64
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from tests.support import sound
from tests.support.bots import Bot, Stream
from tests.support.client import Client
from tests.support.control import Control
from tests.support.pace import Pace, unexcused
from tests.support.servers import Files
from tests.support.switch import SwitchProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.client,  # they measure: those tests have the machine for themselves
]
MOST_GAP_S = 0.04
BUDGET_MB = 200
BESIDES_MB = 150
"""What a switch may take beyond its budget: connections, the file that is being received, the interpreter."""
SETTINGS = f"""
[egress]
allow = ["127.0.0.0/8"]
timeout_s = 60
[sip]
port = 0
[limits]
memory_mb = {BUDGET_MB}
memory_key_mb = {BUDGET_MB}
"""


class Beside:
    """An honest call beside what a test does, measured by processes of their own."""

    def __init__(self, switch: SwitchProcess) -> None:
        self.call = Pace("call", switch.socket_url("/call"))
        self.control = Pace("control")
        self.waits = Pace("waits", switch.process.pid, self.call.pid)
        self.since = time.monotonic()

    def check(self) -> None:
        """Make sure that the call had no gap which the machine does not explain."""
        call, control, waits = (one.report() for one in (self.call, self.control, self.waits))
        assert not call["ended"], call
        gaps = [(a, b) for a, b in call["gaps"] if a >= self.since]
        found = unexcused(gaps, control["gaps"], waits["waits"], MOST_GAP_S)
        assert not found, [(round(a - self.since, 2), round(b - a, 3)) for a, b in found]

    def kill(self) -> None:
        """End the processes."""
        for one in (self.call, self.control, self.waits):
            one.kill()


def resident_mb(switch: SwitchProcess, name: str = "VmHWM") -> float:
    """Return the memory of the process, or the most that it had, in megabytes."""
    lines = (Path("/proc") / str(switch.process.pid) / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


@pytest.mark.timeout(240)
async def test_large_files_played_by_many_at_once_stay_within_the_budget_of_memory(tmp_path: Path) -> None:
    content = sound.wav(np.zeros(12_000_000, np.int16))
    assert len(content) > 23_900_000

    async def serve(request: web.Request) -> web.StreamResponse:
        # Each with contents of its own, so that none can share the memory of another.
        number = int(request.query["n"]) if "n" in request.query else 0
        return web.Response(body=content[:-4] + number.to_bytes(4, "little"))

    outcomes: Counter[str] = Counter()
    async with Files() as files:
        files.answers["large.wav"] = serve
        with SwitchProcess(tmp_path / "data", settings_text=SETTINGS) as switch:
            before = resident_mb(switch, "VmRSS")
            beside = await asyncio.to_thread(Beside, switch)

            async def one(number: int) -> None:
                async with Client(switch.socket_url("/call")) as client:
                    await client.invite(timeout=60, vad=False)
                    for layer in range(4):
                        one_of = number * 4 + layer
                        # Half of them are one file, half are files of their own.
                        query = f"?n={one_of}" if one_of % 2 else ""
                        url = files.url("large.wav") + query
                        await client.send("play", url=url, layer=str(layer), playId=str(layer))
                    told = lambda: client.all("trackStart") + client.all("error")  # noqa: E731
                    await client.until(lambda: len(told()) >= 4, timeout=60)
                    outcomes.update(str(event.get("code", "plays")) for event in told())
                    await client.hang_up()

            try:
                await asyncio.gather(*(one(number) for number in range(12)))
                await asyncio.to_thread(beside.check)
            finally:
                beside.kill()
            most = resident_mb(switch)
            assert not switch.tracebacks()
    assert sum(outcomes.values()) >= 48
    assert set(outcomes) <= {"plays", "429", "503"}, outcomes
    assert outcomes["plays"] >= 1
    assert most - before < BUDGET_MB + BESIDES_MB, (before, most, outcomes)


@pytest.mark.timeout(180)
async def test_marks_behind_ten_minutes_of_audio_sent_at_once_do_not_lie(tmp_path: Path) -> None:
    sent = asyncio.Event()
    second = base64.b64encode(bytes(2 * 24000)).decode()

    async def act(stream: Stream) -> None:
        await stream.wait("start")
        for number in range(600):
            await stream.send("media", media={"payload": second})
            if number % 60 == 0:
                await stream.mark(f"after {number}")
        await stream.mark("last")
        sent.set()

    async with Bot(act) as bot:
        with SwitchProcess(tmp_path / "data", settings_text=SETTINGS) as switch:
            beside = await asyncio.to_thread(Beside, switch)
            try:
                async with Control(switch) as control:
                    uuid = await control.call()
                    extras = ["start", "mark_status"]
                    await control.stream(uuid, bot.url(), stream_extras=extras)
                    stream = await bot.stream()
                    told = lambda: {m["mark"]["name"]: m["mark"]["status"] for m in stream.all("mark")}  # noqa: E731
                    await stream.until(lambda: "after 0" in told(), seconds=60)
                    assert told() == {"after 0": "played"}
                    await asyncio.wait_for(sent.wait(), 60)
                    # It reads on: clear is taken in-band, and nothing of what was dropped counts as played.
                    await stream.clear()
                    await stream.until(lambda: "last" in told(), seconds=60)
                    assert {name for name, status in told().items() if status == "played"} == {"after 0"}
                    assert len(told()) == 11
                    await asyncio.to_thread(beside.check)
            finally:
                beside.kill()
            assert not switch.tracebacks()
