"""What a switch process holds: descriptors, threads, tasks, rows, and gauges that are 0 when it is idle."""

import asyncio
import contextlib
import os
import signal
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.support.switch import SwitchProcess

POOL = min(32, (os.cpu_count() or 1) + 4)
"""Bound of the loop's pool of threads, which grows to it and stays there."""
GAUGES = (
    "softswitch_sockets_active",
    "softswitch_webrtc_legs",
    "softswitch_sip_legs",
    "softswitch_sip_sessions",
    "softswitch_routes",
    "softswitch_streams",
    "softswitch_dns_asking",
    "softswitch_webhook_waiting",
    "softswitch_speech_recognitions",
    "softswitch_media_relaying_ports",
    "softswitch_rooms_open",
    "softswitch_rooms_participants",
)
"""What must be 0 once all calls have ended."""


@dataclass
class Held:
    """What a switch holds."""

    descriptors: int
    threads: int
    sockets: int
    tasks: int
    workers: int
    """Processes of speech."""
    rows: dict[str, int]
    gauges: dict[str, float]


class Holdings:
    """Counts what a switch holds that was started as `tests.support.soaked`."""

    def __init__(self, switch: SwitchProcess, http: aiohttp.ClientSession, tasks_file: Path) -> None:
        """Take the switch, what asks it, and where it writes how many tasks it has."""
        self._switch, self._http, self._tasks_file = switch, http, tasks_file

    async def count(self) -> Held:
        """Count what the switch holds."""
        process = Path("/proc") / str(self._switch.process.pid)
        links = []
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                links.append(str(link.readlink()))
        async with self._http.get(self._switch.url("/metrics")) as response:
            assert response.status == 200
            lines = [line.split() for line in (await response.text()).splitlines() if line[:1] != "#"]
        gauges = {words[0]: float(words[-1]) for words in lines if words[0] in GAUGES}
        assert set(gauges) == set(GAUGES), set(GAUGES) - set(gauges)
        return Held(
            descriptors=len(links),
            threads=len(list((process / "task").iterdir())),
            sockets=sum(link.startswith("socket:") for link in links),
            tasks=await self._tasks(),
            workers=len(speech_processes(self._switch.process.pid)),
            rows=self._rows(),
            gauges=gauges,
        )

    async def _tasks(self) -> int:
        """Return how many tasks the switch has."""
        self._tasks_file.unlink(missing_ok=True)
        self._switch.process.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(60):
            while not self._tasks_file.exists():
                await asyncio.sleep(0.02)
        return int(self._tasks_file.read_text())

    def names(self) -> str:
        """Return what the tasks ran that were counted last."""
        return self._tasks_file.with_suffix(".names").read_text()

    def _rows(self) -> dict[str, int]:
        """Return how many rows say that something goes on."""
        link = sqlite3.connect(self._switch.data / "softswitch.db", timeout=5)
        open_rows = {
            "calls": "ended_at IS NULL",
            "participants": "left_at IS NULL",
            "sessions": "end_time IS NULL",
            "rooms": "status <> 'closed'",
            "webhooks": "1",
        }
        with contextlib.closing(link):
            return {
                table: int(link.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0])
                for table, where in open_rows.items()
            }


def speech_processes(switch: int) -> list[int]:
    """Return the processes of speech below the process of a switch, the oldest first."""
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"softswitch.speech" in (process / "cmdline").read_bytes():
                parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    found = {switch}
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {switch})


def idle(held: Held, start: Held | None) -> bool:
    """Tell whether a switch holds what it held at the start; without a start, whether nothing goes on."""
    if any(held.gauges.values()):
        return False
    if start is None:
        return True
    more = max(held.workers - start.workers, 0)  # pools start them one by one, a socket each
    return (
        held.descriptors <= start.descriptors + more
        and held.sockets <= start.sockets + more
        and held.threads <= start.threads + POOL
        and held.tasks <= start.tasks
        and held.rows == start.rows
    )
