"""Recordings in the tick: what a port says left, what it hears right, aligned to the sample."""

from collections.abc import Callable, Mapping

import numpy as np

from softswitch.audio.pcm import BUS_RATE, Pcm, to_int16
from softswitch.audio.resample import Resampler
from softswitch.media import messages as m
from softswitch.media.recording import Recording, RecordingWriter
from softswitch.media.slots import Slots

_RATES = (8000, 16000, 24000, 48000)


class _Rate:
    """The recordings of one sample rate, resampled together: rows 2k and 2k + 1 are the two sides of one."""

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
        self.recordings[recording.order.recorder] = (slot, recording)

    def remove(self, recorder: int) -> None:
        slot, _ = self.recordings.pop(recorder)
        self._slots.release(slot)

    def record(self, said: Pcm, heard: Pcm, row_of: Mapping[int, int]) -> None:
        entries = list(self.recordings.values())
        rows = [row_of[recording.order.port] for _, recording in entries]
        left_side = said[rows]
        if hearing := [index for index, (_, recording) in enumerate(entries) if recording.order.hears]:
            left_side[hearing] = heard[[rows[index] for index in hearing]]
        sides = np.concatenate((left_side, heard[rows]))
        if self._resampler is not None:
            left = np.array([2 * slot for slot, _ in entries], np.intp)
            # Both sides go through the same filter in the same tick: they cannot drift apart.
            sides = self._resampler.process(sides, np.concatenate((left, left + 1)))
        pcm = to_int16(sides)
        count = len(entries)
        data = np.stack((pcm[:count], pcm[count:]), axis=2).astype("<i2", copy=False).tobytes()
        size = len(data) // count
        for index, (_, recording) in enumerate(entries):
            recording.put(data[index * size : (index + 1) * size])


class Recorders:
    """All recordings of the engine."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Begin with none; `wake` is called from another thread when a file is complete."""
        self._writer = RecordingWriter(wake)
        self._rates: dict[int, _Rate] = {}
        self._recordings: dict[int, Recording] = {}

    def __len__(self) -> int:
        """Return how many are not complete on disk yet."""
        return len(self._recordings)

    def __contains__(self, port: int) -> bool:
        """Tell whether a port is recorded."""
        return any(
            recording.order.port == port and not recording.is_closing
            for recording in self._recordings.values()
        )

    def start(self, order: m.StartRecorder) -> None:
        """Begin to record a port.

        Raises:
            ValueError: the id is in use or the sample rate is none of 8, 16, 24 and 48 kHz.
        """
        if order.recorder in self._recordings:
            raise ValueError(f"recorder: {order.recorder} records already")
        if order.sample_rate not in _RATES:
            raise ValueError(f"sample_rate: {order.sample_rate} Hz is none of {_RATES}")
        recording = Recording(order)
        self._recordings[order.recorder] = recording
        self._rates.setdefault(order.sample_rate, _Rate(order.sample_rate)).add(recording)
        self._writer.add(recording)

    def stop(self, recorder: int) -> None:
        """End a recording; it is reported when it is on disk.

        Raises:
            KeyError: there is none with this id.
        """
        recording = self._recordings[recorder]
        if not recording.is_closing:
            self._retire(recording)
            self._writer.nudge()

    def stop_port(self, port: int) -> None:
        """End the recordings of a port that is going away."""
        for recorder, recording in list(self._recordings.items()):
            if recording.order.port == port:
                self.stop(recorder)

    def record(self, said: Pcm, heard: Pcm, row_of: Mapping[int, int]) -> None:
        """Append a tick to every recording.

        Args:
            said: what each port says, ``(rows, 480)``.
            heard: what each port hears, ``(rows, 480)``.
            row_of: row by port id.
        """
        for rate in self._rates.values():
            if rate.recordings:
                rate.record(said, heard, row_of)

    def take_reports(self, now: float) -> list[m.Report]:
        """Return what was completed since the last call."""
        reports: list[m.Report] = []
        closed = self._writer.closed
        while closed:
            end = closed.popleft()
            recording = self._recordings.pop(end.recorder)
            if not recording.is_closing:
                self._retire(recording)
            report = m.RecorderClosed(end.recorder, now, end.path, end.duration_ms, end.size, end.error)
            reports.append(report)
        return reports

    def finish(self) -> None:
        """End all recordings and wait until they are on disk."""
        for recorder in list(self._recordings):
            self.stop(recorder)
        self._writer.join()

    def _retire(self, recording: Recording) -> None:
        self._rates[recording.order.sample_rate].remove(recording.order.recorder)
        recording.is_closing = True
