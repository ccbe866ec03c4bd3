"""Recordings of a room: one of the whole room, and one of each participant."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import msgspec

from softswitch.errors import SoftswitchError
from softswitch.media import messages as m
from softswitch.store.store import Recording
from softswitch.switch.resources import Resources

RATE = 16000
CLOSE_S = 5.0
"""Longest wait for files to be completed, in seconds."""


class RoomRecordings:
    """The recordings of one room. A recording that fails is counted; the room goes on."""

    def __init__(
        self,
        room: str,
        mix: int,
        resources: Resources,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        *,
        account: str = "",
    ) -> None:
        """Prepare; :meth:`start` records.

        Args:
            room: Id of the room, under which the recordings are listed.
            mix: Mix of the room in the engine.
            resources: Engine and store.
            spawn: Starts a background task of the room.
            account: Account that the recordings belong to.
        """
        self._room, self._mix = room, mix
        self._resources = resources
        self._spawn = spawn
        self._account = account
        self._container: Literal["wav", "opus"] = "wav"
        self._monitor = 0
        """Port that hears the whole room and says nothing."""
        self._recorders: dict[int, int] = {}
        """Recorder by the port it records."""
        self._closing: set[int] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.on = False

    def start(self, container: Literal["wav", "opus"]) -> None:
        """Record the whole room from now on, and each participant that :meth:`add` names."""
        if self.on:
            return
        self.on, self._container = True, container
        self._monitor = next(self._resources.ids)
        self._resources.engine.post(m.AddFeedPort(self._monitor, self._mix, "pcm", 24000, speaks=False))
        self._spawn(self._record(self._monitor, self._room, hears=True))

    def add(self, port: int, name: str) -> None:
        """Record one participant in stereo: what it says on the left, what it hears on the right."""
        if self.on and port and port not in self._recorders:
            self._recorders[port] = 0
            self._spawn(self._record(port, f"{self._room}-{name}", hears=False))

    def stop(self) -> None:
        """End all recordings."""
        if not self.on:
            return
        self.on = False
        for port in list(self._recorders):
            self.remove(port)
        self._resources.engine.post(m.RemovePort(self._monitor))

    def remove(self, port: int) -> None:
        """End the recording of a port, where there is one."""
        recorder = self._recorders.pop(port, 0)
        if recorder:
            self._resources.engine.post(m.StopRecorder(recorder))

    async def closed(self) -> None:
        """Wait until all files are complete, for at most `CLOSE_S` seconds."""
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
        record = Recording(
            name=place.name,
            call_id=self._room,
            account=self._account,
            size=0,
            duration_ms=0,
            created_at=began_ms,
            container=place.path.suffix.lstrip("."),
        )
        self._resources.store.begin_recording(record)
        self._resources.routes.reports(recorder, lambda report: self._take(report, record))
        self._resources.engine.post(
            m.StartRecorder(
                recorder,
                port,
                str(place.path),
                RATE,
                "wav" if wav else "opus",
                max_bytes=self._resources.settings.recording.quota_mb * 1_000_000,
                hears=hears,
                # One of the recordings of a room announces them all.
                tone_ms=round(self._resources.settings.recording.tone_s * 1000) if hears else 0,
            )
        )

    def _take(self, report: m.Report, record: Recording) -> None:
        if not isinstance(report, m.RecorderClosed):
            return
        self._resources.routes.remove(report.recorder)
        self._resources.store.save_recording(
            msgspec.structs.replace(record, size=report.size, duration_ms=report.duration_ms)
        )
        self._closing.discard(report.recorder)
        if not self._closing:
            self._idle.set()
