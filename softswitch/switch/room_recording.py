"""Recordings of a room: one of everybody together, and one of each."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from softswitch.errors import SoftswitchError
from softswitch.media import messages as m
from softswitch.store.store import NewRecording, Recording
from softswitch.switch.resources import Resources

RATE = 16000
CLOSE_S = 5.0


class RoomRecordings:
    """Records ports of a room; what goes wrong is counted, and ends nothing."""

    def __init__(
        self,
        room: str,
        mix: int,
        resources: Resources,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """Record nothing yet.

        Args:
            room: Id of the room, under which the recordings are listed.
            mix: Its mix.
            resources: Engine, store.
            spawn: Runs something as part of the room.
        """
        self._room, self._mix = room, mix
        self._resources = resources
        self._spawn = spawn
        self._container: Literal["wav", "opus"] = "wav"
        self._monitor = 0
        """Port that only listens, so that it hears everybody."""
        self._recorders: dict[int, int] = {}
        """Recorder by the port it records."""
        self._closing: set[int] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.on = False

    def start(self, container: Literal["wav", "opus"]) -> None:
        """Record the whole room from now on, and each port that is given to :meth:`add`."""
        if self.on:
            return
        self.on, self._container = True, container
        self._monitor = next(self._resources.ids)
        self._resources.engine.post(m.AddFeedPort(self._monitor, self._mix, "pcm", 24000, speaks=False))
        self._spawn(self._record(self._monitor, self._room, hears=True))

    def add(self, port: int, name: str) -> None:
        """Record one participant: what it says left, what it hears right."""
        if self.on and port and port not in self._recorders:
            self._recorders[port] = 0
            self._spawn(self._record(port, f"{self._room}-{name}", hears=False))

    def stop(self) -> None:
        """Record no more."""
        if not self.on:
            return
        self.on = False
        for port in list(self._recorders):
            self.remove(port)
        self._resources.engine.post(m.RemovePort(self._monitor))

    def remove(self, port: int) -> None:
        """Record a port no more."""
        recorder = self._recorders.pop(port, 0)
        if recorder:
            self._resources.engine.post(m.StopRecorder(recorder))

    async def closed(self) -> None:
        """Wait until all files are complete, within a bounded time."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._idle.wait()
        except TimeoutError:
            self._resources.metrics.recordings_refused.labels("late").inc()

    async def _record(self, port: int, name: str, *, hears: bool) -> None:
        wav = self._container == "wav"
        try:
            place = await self._resources.store.new_recording(self._room, name, "wav" if wav else "ogg")
        except SoftswitchError:
            self._resources.metrics.recordings_refused.labels("no_room").inc()
            return
        if not self.on or (not hears and port not in self._recorders):
            await self._resources.store.delete_recording(place.name)
            return
        recorder = self._recorders[port] = next(self._resources.ids)
        self._closing.add(recorder)
        self._idle.clear()
        began_ms = int(time.time() * 1000)
        self._resources.routes.reports(recorder, lambda report: self._take(report, place, began_ms))
        self._resources.engine.post(
            m.StartRecorder(
                recorder,
                port,
                str(place.path),
                RATE,
                "wav" if wav else "opus",
                max_bytes=self._resources.settings.recording.quota_mb * 1_000_000,
                hears=hears,
            )
        )

    def _take(self, report: m.Report, place: NewRecording, began_ms: int) -> None:
        if not isinstance(report, m.RecorderClosed):
            return
        self._resources.routes.remove(report.recorder)
        self._resources.store.save_recording(
            Recording(
                name=place.name,
                call_id=self._room,
                size=report.size,
                duration_ms=report.duration_ms,
                created_at=began_ms,
                container=place.path.suffix.lstrip("."),
            )
        )
        self._closing.discard(report.recorder)
        if not self._closing:
            self._idle.set()
