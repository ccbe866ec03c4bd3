"""The recording of one call: its file in the store, its recorder in the engine and its record."""

import time
from collections.abc import Callable
from typing import Literal

import msgspec

from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.commands import RecorderOption
from softswitch.errors import SoftswitchError
from softswitch.flags import Flag
from softswitch.media import messages as m
from softswitch.store.store import NewRecording, Recording
from softswitch.switch.conversation.owner import Owner


class CallRecording:
    """At most one recording of a call; a failure is reported and never ends the call."""

    def __init__(self, owner: Owner) -> None:

        self._owner = owner
        self._resources = owner.resources
        self._recorder: int | None = None
        self._paused = False
        self._stopped = False
        """Whether the recording is to end, or ended; a new one may begin."""
        self._released = False
        self.closed = Flag()
        """Set while nothing is being recorded."""
        self.closed.set()
        self.name = ""
        """Name of the file, once there is one."""
        self.transcribe = False
        """Whether a transcript is to be made of it."""
        self._asked = False

    async def start(self, port: int, option: RecorderOption) -> None:
        """Record a port in stereo: what it says left, what it hears right.

        A call that is recorded already goes on with that recording.

        Args:
            port: The port.
            option: Name, rate and container of the file.
        """
        self.transcribe |= option.transcribe
        if self._asked:
            return
        self._asked = True
        wav = option.container == "wav"
        self._paused = self._stopped = False
        try:
            place = await self._resources.store.new_recording(
                self._owner.id, option.name, "wav" if wav else "ogg"
            )
        except SoftswitchError as error:
            self._asked = False
            self._resources.metrics.recordings_refused.labels("no_room").inc()
            self._owner.report(r.Refused("recorder", str(error), 507))
            return
        if self._stopped or self._released:
            await self._resources.store.delete_recording(place.name)
            self._asked = False
            self._owner.report(r.Refused("recorder", "the recording was stopped before it began", 409))
            return
        recorder = self._recorder = next(self._resources.ids)
        self.name = place.name
        self.closed.clear()
        began_ms = int(time.time() * 1000)
        call, account, tell = self._owner.id, self._owner.owner, self._owner.report
        self._resources.routes.reports(
            recorder, lambda report: self._take(report, place, began_ms, (call, account), tell)
        )
        self._resources.store.begin_recording(_record(place, call, account, began_ms))
        self._resources.engine.post(
            m.StartRecorder(
                recorder,
                port,
                str(place.path),
                option.sample_rate,
                "wav" if wav else "opus",
                max_bytes=self._resources.settings.recording.quota_mb * 1_000_000,
                tone_ms=option.tone_ms or round(self._resources.settings.recording.tone_s * 1000),
            )
        )
        if self._paused:
            self._resources.engine.post(m.PauseRecorder(recorder, paused=True))

    def change(self, action: Literal["pause", "resume", "stop"]) -> None:
        """Pause, resume or stop; a recording that is paused has silence in place of the audio."""
        if action == "stop":
            self._stop()
            return
        self._paused = action == "pause"
        if self._recorder is not None:
            self._resources.engine.post(m.PauseRecorder(self._recorder, paused=self._paused))

    def stop(self) -> None:
        """Stop the recording for good; :attr:`closed` is set once the file is complete."""
        self._released = True
        self._stop()

    def _stop(self) -> None:
        self._stopped = True
        if self._recorder is not None:
            self._resources.engine.post(m.StopRecorder(self._recorder))

    def _take(
        self,
        report: m.Report,
        place: NewRecording,
        began_ms: int,
        whose: tuple[str, str],
        tell: Callable[[r.Report], None],
    ) -> None:
        """Save the record of a complete file, which may be later than the end of its call."""
        if not isinstance(report, m.RecorderClosed):
            return
        call, account = whose
        self._recorder = None
        self._asked = False
        self._resources.routes.remove(report.recorder)
        record = _record(place, call, account, began_ms)
        self._resources.store.save_recording(
            msgspec.structs.replace(record, size=report.size, duration_ms=report.duration_ms)
        )
        self.closed.set()
        tell(r.RecordingClosed(place.name, report.duration_ms, report.size, report.error))


def _record(place: NewRecording, call: str, account: str, began_ms: int) -> Recording:
    """Return the record of a recording that has just begun."""
    return Recording(
        name=place.name,
        call_id=call,
        account=account,
        size=0,
        duration_ms=0,
        created_at=began_ms,
        container=place.path.suffix.lstrip("."),
    )
