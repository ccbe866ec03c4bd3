"""The recording of one call: its place in the store, its recorder in the engine, its record at the end."""

import asyncio
import time
from collections.abc import Callable

from softswitch.call import reports as r
from softswitch.call.commands import RecorderOption
from softswitch.errors import SoftswitchError
from softswitch.media import messages as m
from softswitch.store.store import NewRecording, Recording
from softswitch.switch.owner import Owner


class CallRecording:
    """At most one recording of a call; what goes wrong with it is told and never ends the call."""

    def __init__(self, owner: Owner) -> None:
        """Record nothing yet."""
        self._owner = owner
        self._resources = owner.resources
        self._recorder: int | None = None
        self._stopped = False
        self.closed = asyncio.Event()
        """Set while nothing is being recorded."""
        self.closed.set()
        self.name = ""
        """Name of the file, once there is one."""

    async def start(self, port: int, option: RecorderOption) -> None:
        """Find a place and record a port there: what it says left, what it hears right."""
        wav = option.container == "wav"
        try:
            place = await self._resources.store.new_recording(
                self._owner.id, option.name, "wav" if wav else "ogg"
            )
        except SoftswitchError as error:
            self._resources.metrics.recordings_refused.labels("no_room").inc()
            self._owner.report(r.Refused("recorder", str(error), 507))
            return
        if self._stopped:
            return
        recorder = self._recorder = next(self._resources.ids)
        self.name = place.name
        self.closed.clear()
        began_ms = int(time.time() * 1000)
        call, tell = self._owner.id, self._owner.report
        self._resources.routes.reports(
            recorder, lambda report: self._take(report, place, began_ms, call, tell)
        )
        self._resources.engine.post(
            m.StartRecorder(
                recorder,
                port,
                str(place.path),
                option.sample_rate,
                "wav" if wav else "opus",
                max_bytes=self._resources.settings.recording.quota_mb * 1_000_000,
            )
        )

    def stop(self) -> None:
        """End the recording; :attr:`closed` is set once the file is complete."""
        self._stopped = True
        if self._recorder is not None:
            self._resources.engine.post(m.StopRecorder(self._recorder))

    def _take(
        self,
        report: m.Report,
        place: NewRecording,
        began_ms: int,
        call: str,
        tell: Callable[[r.Report], None],
    ) -> None:
        """Keep the record; a file that takes long to be complete may be so after its call has gone."""
        if not isinstance(report, m.RecorderClosed):
            return
        self._recorder = None
        self._resources.routes.remove(report.recorder)
        self._resources.store.save_recording(
            Recording(
                name=place.name,
                call_id=call,
                size=report.size,
                duration_ms=report.duration_ms,
                created_at=began_ms,
                container=place.path.suffix.lstrip("."),
            )
        )
        self.closed.set()
        tell(r.RecordingClosed(place.name, report.duration_ms, report.size, report.error))
