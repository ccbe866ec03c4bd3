"""Recordings in the tick: audio from a port left, audio to it right, aligned to the sample."""

from collections.abc import Callable, Mapping

import numpy as np

from softswitch.audio.pcm import BUS_RATE, Pcm, to_int16
from softswitch.audio.resample import Resampler
from softswitch.media import messages as m
from softswitch.media.recording.disk import Recording, RecordingWriter
from softswitch.media.slots import Slots

_RATES = (8000, 16000, 24000, 48000)


class _Rate:
    """The recordings of one sample rate, resampled together: rows 2k and 2k + 1 are the sides of one."""

    def __init__(self, sample_rate: int) -> None:
        self.recordings: dict[int, tuple[int, Recording]] = {}
        self._slots = Slots(8)
        self._resampler = Resampler(BUS_RATE, sample_rate) if sample_rate != BUS_RATE else None
        if self._resampler is not None:
            grow = self._resampler.grow
            self._slots.on_growth(lambda slots: grow(2 * slots))

    def add(self, recording: Recording) -> None:
        slot = self._slots.take()
        if self._resampler is not None:
            self._resampler.reset(np.array([2 * slot, 2 * slot + 1], np.intp))
        self.recordings[recording.request.recorder] = (slot, recording)

    def remove(self, recorder: int) -> None:
        slot, _ = self.recordings.pop(recorder)
        self._slots.release(slot)

    def record(self, said: Pcm, heard: Pcm, row_of: Mapping[int, int]) -> None:
        entries = list(self.recordings.values())
        rows = [row_of[recording.request.port] for _, recording in entries]
        left_side = said[rows]
        if hearing := [index for index, (_, recording) in enumerate(entries) if recording.request.hears]:
            left_side[hearing] = heard[[rows[index] for index in hearing]]
        right_side = heard[rows]
        if paused := [index for index, (_, recording) in enumerate(entries) if recording.is_paused]:
            left_side[paused] = right_side[paused] = 0.0
        sides = np.concatenate((left_side, right_side))
        if self._resampler is not None:
            left = np.array([2 * slot for slot, _ in entries], np.intp)
            # Both sides go through the same filter in the same tick, so that they stay aligned.
            sides = self._resampler.process(sides, np.concatenate((left, left + 1)))
        pcm = to_int16(sides)
        count = len(entries)
        data = np.stack((pcm[:count], pcm[count:]), axis=2).astype("<i2", copy=False).tobytes()
        size = len(data) // count
        for index, (_, recording) in enumerate(entries):
            recording.put(data[index * size : (index + 1) * size])


class Recorders:
    """All recordings of the engine."""

    def __init__(self, wake: Callable[[], None], counters: dict[str, int]) -> None:
        """Begin without recordings.

        Args:
            wake: called from the writer's thread when a recording has ended.
            counters: gets recorder_lost_bytes and recorder_restarts.
        """
        self._counters = counters
        self._writer = RecordingWriter(wake)
        self._rates: dict[int, _Rate] = {}
        self._recordings: dict[int, Recording] = {}

    def __len__(self) -> int:
        """Number of recordings that are not complete on disk yet."""
        return len(self._recordings)

    def ports(self) -> set[int]:
        """Return the ids of the ports that are being recorded."""
        return {entry.request.port for entry in self._recordings.values() if not entry.is_closing}

    def announcing(self) -> set[int]:
        """Return the ids of the recorded ports whose mix hears beeps."""
        return {entry.request.port for entry in self._recordings.values() if _announces(entry)}

    def tones(self) -> dict[int, Pcm]:
        """Move the beeps on by 20 ms; return those that sound, ``(480,)``, by the id of the recorded port."""
        frames: dict[int, Pcm] = {}
        for entry in self._recordings.values():
            if entry.tone is not None and _announces(entry) and (frame := entry.tone.frame()) is not None:
                frames[entry.request.port] = frame
        return frames

    def start(self, request: m.StartRecorder) -> None:
        """Begin to record a port.

        Raises:
            ValueError: the id is in use, or the sample rate is not 8, 16, 24 or 48 kHz.
        """
        if request.recorder in self._recordings:
            raise ValueError(f"recorder: {request.recorder} is in use")
        if request.sample_rate not in _RATES:
            raise ValueError(f"sample_rate: {request.sample_rate} Hz is not one of {_RATES}")
        recording = Recording(request)
        self._recordings[request.recorder] = recording
        self._rates.setdefault(request.sample_rate, _Rate(request.sample_rate)).add(recording)
        self._writer.add(recording)

    def pause(self, recorder: int, *, paused: bool) -> None:
        """Record silence in place of the audio from the next tick on, or the audio again.

        Raises:
            KeyError: no recording has this id.
        """
        recording = self._recordings[recorder]
        recording.is_paused = paused
        if recording.tone is not None:
            recording.tone.restart()

    def stop(self, recorder: int) -> None:
        """End a recording; it is reported when it is complete on disk.

        Raises:
            KeyError: no recording has this id.
        """
        recording = self._recordings[recorder]
        if not recording.is_closing:
            self._close(recording)
            self._writer.wake()

    def stop_port(self, port: int) -> None:
        """End the recordings of a port that is closing."""
        for recorder, recording in list(self._recordings.items()):
            if recording.request.port == port:
                self.stop(recorder)

    def record(self, said: Pcm, heard: Pcm, row_of: Mapping[int, int]) -> None:
        """Append 20 ms to every recording.

        Args:
            said: audio from each port, ``(rows, 480)``.
            heard: audio to each port, ``(rows, 480)``.
            row_of: row by port id.
        """
        for rate in self._rates.values():
            if rate.recordings:
                rate.record(said, heard, row_of)

    def take_reports(self, now: float) -> list[m.Report]:
        """Return the reports of recordings that ended since the last call."""
        reports: list[m.Report] = []
        closed = self._writer.closed
        while closed:
            end = closed.popleft()
            recording = self._recordings.pop(end.recorder)
            self._counters["recorder_lost_bytes"] += recording.lost_bytes
            self._counters["recorder_restarts"] = self._writer.encoder.restarts
            if not recording.is_closing:
                self._close(recording)
            report = m.RecorderClosed(end.recorder, now, end.path, end.duration_ms, end.size, end.error)
            reports.append(report)
        return reports

    def finish(self) -> None:
        """End all recordings and wait until they are complete on disk."""
        for recorder in list(self._recordings):
            self.stop(recorder)
        self._writer.join()

    def _close(self, recording: Recording) -> None:
        self._rates[recording.request.sample_rate].remove(recording.request.recorder)
        recording.is_closing = True


def _announces(recording: Recording) -> bool:
    return recording.tone is not None and not (recording.is_closing or recording.is_paused)
